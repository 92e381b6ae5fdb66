// Pairs that tell something: negatives that score higher than the anchor's lowest positive, and positives
// that score lower than its highest negative, both with some tolerance. Source: Wang, Han, Huang, Dong,
// Scott, "Multi-Similarity Loss with General Pair Weighting", CVPR 2019.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class MultiSimilarity : public Miner {
 public:
  static void declare(Options& options, const std::string& loss) {
    options.add(loss + ".multi_similarity_epsilon", 0.1,
                "pairs easier than the hardest of the other kind by less than this are kept");
  }
  MultiSimilarity(const Options& options, const std::string& loss)
      : epsilon_(static_cast<float>(options.get<double>(loss + ".multi_similarity_epsilon"))) {
    require_option(options, loss + ".multi_similarity_epsilon", epsilon_ >= 0, "at least 0");
  }

  int sweeps() const override { return 1; }
  void begin(Stream& stream, const MiningStep& step) override { hardest_.begin(stream, step.rows); }
  void fold(Stream& stream, int, const ScoreTile& tile) override { hardest_.fold(stream, tile); }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    const Partner *const positives = hardest_.positives(), *const negatives = hardest_.negatives();
    const float epsilon = epsilon_;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Partner positive = positives[r], negative = negatives[r];
          const bool both = positive.found() && negative.found();
          row.each(tile.columns, [=](int64_t c) {
            const float score = tile.score(r, c);
            const bool near = both && tile.negative(r, c) && score + epsilon > positive.score;
            const bool far = both && tile.positive(r, c) && score - epsilon < negative.score;
            marks[r * tile.columns + c] = near ? kNegativePair : far ? kPositivePair : uint8_t{0};
          });
        },
        2 * tile.columns);
  }

 private:
  const float epsilon_;
  HardestPairs hardest_;
};

KINDRED_MINER("multi_similarity", MultiSimilarity,
              "negatives nearer than the hardest positive and positives farther than the hardest negative");

}  // namespace
}  // namespace kindred
