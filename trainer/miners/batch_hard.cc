// The hardest positive and the hardest negative of every anchor.
// Source: Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017.
#include "common/engine/launch.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class BatchHard : public Miner {
 public:
  static void declare(Options&, const std::string&) {}
  BatchHard(const Options&, const std::string&) {}

  int sweeps() const override { return 1; }
  void begin(Stream& stream, const MiningStep& step) override { hardest_.begin(stream, step.rows); }
  void fold(Stream& stream, int, const ScoreTile& tile) override { hardest_.fold(stream, tile); }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    mark_partners(stream, tile, hardest_.positives(), hardest_.negatives(), marks);
  }

 private:
  HardestPairs hardest_;
};

KINDRED_MINER("batch_hard", BatchHard, "the hardest positive and the hardest negative of every anchor");

}  // namespace
}  // namespace kindred
