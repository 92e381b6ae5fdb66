// A miner chooses which pairs of a batch a loss looks at. It is a row program over tiles of the score matrix:
// what it must know about a row it folds into a state of a few numbers, tile by tile, and then marks the
// chosen pairs of any tile. So the matrix never has to exist as a whole.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/options.h"
#include "common/base/registry.h"
#include "common/engine/stream.h"
#include "trainer/miners/score_tile.h"

namespace kindred {

/// Bits of a mark.
constexpr uint8_t kPositivePair = 1, kNegativePair = 2;

/// One round of mining: this rank's anchors against columns.
struct MiningStep {
  int64_t rows = 0, columns = 0;
  const int64_t* row_labels = nullptr;                            // [rows]
  const int64_t *column_labels = nullptr, *column_ids = nullptr;  // [columns]
  int64_t dim = 0;                                                // of the embedding
  uint64_t seed = 0;
  int64_t step = 0;  // with the seed and sample ids, the key of what is drawn
};

class Miner {
 public:
  virtual ~Miner() = default;
  /// How often `fold` must see every tile before `mark`.
  virtual int sweeps() const = 0;
  /// Forgets the last step.
  virtual void begin(Stream& stream, const MiningStep& step) { (void)stream, (void)step; }
  /// Takes one tile into the state of its rows; sweep counts from 0, tiles come from left to right.
  virtual void fold(Stream& stream, int sweep, const ScoreTile& tile) {
    (void)stream, (void)sweep, (void)tile;
  }
  /// Writes (=) the marks [rows, columns] of a tile: kPositivePair, kNegativePair or 0. A row in which either
  /// kind is missing gives a loss of pairs of both kinds nothing to do.
  virtual void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) = 0;
  /// Whether an anchor's marked pairs stand for one positive and one negative, at means of their distances.
  virtual bool weighs() const { return false; }
};

/// Options of a miner stand under the name of the loss that uses it: "triplet.semi_hard_fallback".
struct MinerEntry {
  std::function<void(Options&, const std::string& loss)> declare;
  std::function<std::unique_ptr<Miner>(const Options&, const std::string& loss)> make;
};
Registry<MinerEntry>& miner_registry(Device::Type device = Device::cpu);

/// Declares LOSS.miner and the options of all miners.
void declare_miners(Options& options, const std::string& loss, const std::string& default_miner);
/// The miner that option LOSS.miner names. Throws UsageError with the nearest name, and for a miner that
/// weighs() where the loss has no use for it.
std::unique_ptr<Miner> make_miner(const Options& options, const std::string& loss, Device::Type device,
                                  bool may_weigh = false);

}  // namespace kindred

/// At the foot of a miner's file, a single-source one. M has `static void declare(Options&, const
/// std::string& loss)` and M(const Options&, const std::string& loss).
#define KINDRED_MINER(name, M, help)                                                                      \
  [[maybe_unused]] static const bool kindred_registered_##M =                                             \
      ::kindred::miner_registry(::kindred::Device::KINDRED_LAUNCH_DEVICE)                                 \
          .add(name,                                                                                      \
               {&M::declare,                                                                              \
                [](const ::kindred::Options& options, const std::string& loss)                            \
                    -> std::unique_ptr<::kindred::Miner> { return std::make_unique<M>(options, loss); }}, \
               help)
