// For every anchor its hardest positive and, of the negatives that are farther away than that positive, the
// nearest. Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, section 3.2.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class SemiHard : public Miner {
 public:
  static void declare(Options& options, const std::string& loss) {
    options.add<std::string>(
        loss + ".semi_hard_fallback", "easiest",
        "where no negative is farther than the positive: easiest (take the farthest) or none "
        "(leave the anchor out)");
  }
  SemiHard(const Options& options, const std::string& loss)
      : fallback_(choose_option<bool>(options, loss + ".semi_hard_fallback",
                                      {{"easiest", true}, {"none", false}})) {}

  int sweeps() const override { return 2; }

  void begin(Stream& stream, int64_t rows) override {
    hardest_.begin(stream, rows);
    farther_.begin(stream, rows);
    easiest_.begin(stream, rows);
  }

  void fold(Stream& stream, int sweep, const ScoreTile& tile) override {
    if (sweep == 0) return hardest_.fold(stream, tile);
    const Partner* const positives = hardest_.positives();
    Partner *const farther = farther_.data(), *const easiest = easiest_.data();
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Partner positive = positives[r];
          const Partner nearest = best_partner(row, tile, [=](int64_t c) {
            return tile.negative(r, c) && tile.score(r, c) < positive.score ? tile.score(r, c) : kLeftOut;
          });
          const Partner farthest = best_partner(
              row, tile, [=](int64_t c) { return tile.negative(r, c) ? -tile.score(r, c) : kLeftOut; });
          row.once([=] {
            farther[r] = better_partner(farther[r], nearest);
            easiest[r] = better_partner(easiest[r], farthest);
          });
        },
        8 * tile.columns);
  }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    const Partner* const easiest = easiest_.data();
    Partner* const chosen = farther_.data();
    if (fallback_) {
      launch_each(stream, tile.rows, [=] KINDRED_DEV(int64_t r) {
        if (!chosen[r].found()) chosen[r] = easiest[r];
      });
    }
    mark_partners(stream, tile, hardest_.positives(), chosen, marks);
  }

 private:
  const bool fallback_;
  HardestPairs hardest_;
  RowPartners farther_, easiest_;  // easiest: with negated scores
};

KINDRED_MINER("semi_hard", SemiHard,
              "the hardest positive and the nearest negative that is farther away than it");

}  // namespace
}  // namespace kindred
