// For every anchor its easiest positive, so that a class may keep several looks apart, and the nearest
// negative, or the nearest of those that are farther away than that positive.
// Source: Xuan, Stylianou, Pless, "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class EasyPositive : public Miner {
 public:
  static void declare(Options& options, const std::string& loss) {
    options.add<std::string>(
        loss + ".easy_positive_negative", "semi_hard",
        "its negative: semi_hard (the nearest that is farther away than the positive, or "
        "else the farthest) or hard (the nearest)");
  }
  EasyPositive(const Options& options, const std::string& loss)
      : semi_hard_(choose_option<bool>(options, loss + ".easy_positive_negative",
                                       {{"semi_hard", true}, {"hard", false}})) {}

  int sweeps() const override { return semi_hard_ ? 2 : 1; }

  void begin(Stream& stream, const MiningStep& step) override {
    easiest_.begin(stream, step.rows);
    hardest_.begin(stream, step.rows);
    negatives_.begin(stream, step.rows);
  }

  void fold(Stream& stream, int sweep, const ScoreTile& tile) override {
    if (sweep == 1) return negatives_.fold(stream, tile, easiest_.data());
    hardest_.fold(stream, tile);
    Partner* const easiest = easiest_.data();
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Partner best = best_partner(row, tile, easiest[r], [=](int64_t c) {
            return tile.positive(r, c) ? tile.score(r, c) : kLeftOut;
          });
          row.once([=] { easiest[r] = best; });
        },
        2 * tile.columns);
  }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    mark_partners(stream, tile, easiest_.data(),
                  semi_hard_ ? negatives_.chosen(stream, true) : hardest_.negatives(), marks);
  }

 private:
  const bool semi_hard_;
  RowPartners easiest_;  // positives
  HardestPairs hardest_;
  SemiHardNegatives negatives_;
};

KINDRED_MINER("easy_positive", EasyPositive, "the easiest positive, with a hard or semi-hard negative");

}  // namespace
}  // namespace kindred
