// Every pair of two samples: the loss itself ignores those that are easy.
#include "common/engine/launch.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class AllPairs : public Miner {
 public:
  static void declare(Options&, const std::string&) {}
  AllPairs(const Options&, const std::string&) {}

  int sweeps() const override { return 0; }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    launch_each(stream, tile.rows * tile.columns, [=] KINDRED_DEV(int64_t i) {
      const int64_t r = i / tile.columns, c = i % tile.columns;
      marks[i] = tile.positive(r, c) ? kPositivePair : tile.negative(r, c) ? kNegativePair : uint8_t{0};
    });
  }
};

KINDRED_MINER("all", AllPairs, "every positive and every negative");

}  // namespace
}  // namespace kindred
