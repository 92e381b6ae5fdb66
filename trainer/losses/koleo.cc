// KoLeo: spreads embeddings over the sphere, against collapse, by pushing each away from its nearest sample
// of another class at distance d = sqrt(2 - 2 s):
//   L = mean over anchors of ln(2 / d), 0 where the neighbour lies opposite.
// Source: Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019; with neighbours of other
// classes as in Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", CVPR 2022.
#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/pair_loss.h"

namespace kindred {
namespace {

class KoLeo : public PairLoss {
 public:
  static void declare_options(Options& options) { NoiseGuard::declare(options, "koleo"); }
  explicit KoLeo(const Options& options) : PairLoss(options, "koleo", nullptr) {}

  void finish(Stream& stream, const MiningStep& step, RowTerms* all) override {
    const Partner* const negatives = hardest().negatives();
    launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) {
      const bool found = negatives[r].found();
      const float square = 2 - 2 * negatives[r].score;
      const float loss = -0.5f * logf((square > kLeastSquare ? square : kLeastSquare) / 4);
      all[r] = RowTerms::joint(found ? loss : 0, found ? 1.0f : 0.0f, found ? 1.0f : 0.0f, 1);
    });
  }

  void gradient(Stream& stream, const ScoreTile& tile, const uint8_t*, PairScale scale,
                float* gradient) override {
    const Partner* const negatives = hardest().negatives();
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float square = 2 - 2 * negatives[r].score;
          // Of two embeddings in one place no direction leads apart.
          const float slope = square > kLeastSquare ? scale.positive / square : 0;
          const int64_t nearest = negatives[r].column - tile.first_column;
          row.each(tile.columns,
                   [=](int64_t c) { gradient[r * tile.columns + c] = c == nearest ? slope : 0; });
        },
        tile.columns);
  }

 private:
  static constexpr float kLeastSquare = 1e-6f;  // below, rounding of the cosine decides
};

KINDRED_LOSS("koleo", KoLeo, "spreads embeddings apart, as a regulariser beside other losses");

}  // namespace
}  // namespace kindred
