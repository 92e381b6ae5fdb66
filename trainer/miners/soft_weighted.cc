// Every pair, weighted by how hard it is: see trainer/losses/weighted_triplets.h.
#include "common/engine/launch.h"
#include "trainer/miners/all_pairs.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

class SoftWeighted : public Miner {
 public:
  static void declare(Options&, const std::string&) {}
  SoftWeighted(const Options&, const std::string&) {}

  int sweeps() const override { return 0; }
  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    mark_all_pairs(stream, tile, marks);
  }
  bool weighs() const override { return true; }
};

KINDRED_MINER("soft_weighted", SoftWeighted,
              "one positive and one negative at mean distances, hard ones weighing most; for triplets");

}  // namespace
}  // namespace kindred
