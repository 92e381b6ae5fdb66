// Every pair of two samples: the loss itself ignores those that are easy.
#include "common/engine/launch.h"
#include "trainer/miners/all_pairs.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class AllPairs : public Miner {
 public:
  static void declare(Options&, const std::string&) {}
  AllPairs(const Options&, const std::string&) {}

  int sweeps() const override { return 0; }
  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    mark_all_pairs(stream, tile, marks);
  }
};

KINDRED_MINER("all", AllPairs, "every positive and every negative");

}  // namespace
}  // namespace kindred
