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

  void begin(Stream& stream, const MiningStep& step) override {
    hardest_.begin(stream, step.rows);
    negatives_.begin(stream, step.rows);
  }

  void fold(Stream& stream, int sweep, const ScoreTile& tile) override {
    if (sweep == 0) return hardest_.fold(stream, tile);
    negatives_.fold(stream, tile, hardest_.positives());
  }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    mark_partners(stream, tile, hardest_.positives(), negatives_.chosen(stream, fallback_), marks);
  }

 private:
  const bool fallback_;
  HardestPairs hardest_;
  SemiHardNegatives negatives_;
};

KINDRED_MINER("semi_hard", SemiHard,
              "the hardest positive and the nearest negative that is farther away than it");

}  // namespace
}  // namespace kindred
