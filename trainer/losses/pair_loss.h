// What all losses on pairs share: the loop over tiles of the score matrix S = E A^T. A miner and a loss fold
// tiles into a state of a few numbers per row; tiles are thrown away and computed again for the gradient. So
// memory is O(rows), never rows x columns. Where one tile covers all columns, S is computed once.
#pragma once

#include <memory>
#include <string>

#include "trainer/losses/columns.h"
#include "trainer/losses/row_sums.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"
#include "trainer/miners/noise_guard.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

/// What one row adds to the loss. Terms of positive and of negative pairs have divisors of their own.
struct RowTerms {
  float positive = 0, negative = 0;                  // summed losses
  float positive_divisor = 0, negative_divisor = 0;  // what their sums over all rows are divided by
  float active = 0, chosen = 0;                      // the active fraction is active / chosen, of all rows

  /// Of a loss with one term, `positive`.
  KINDRED_DEV static RowTerms joint(float loss, float divisor, float active, float chosen) {
    return {loss, 0, divisor, 0, active, chosen};
  }
};

/// What a slope is multiplied by: the weight of the loss over its divisor.
struct PairScale {
  float positive, negative;
};

class PairLoss : public Loss {
 public:
  /// Declares LOSS.miner with the miners' and the noise guard's options.
  static void declare_pair_options(Options& options, const std::string& loss, const std::string& miner);

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) final;

 protected:
  /// `miner`: null where the loss reads no marks.
  PairLoss(const Options& options, const std::string& loss, std::unique_ptr<Miner> miner);

  /// How often `fold` sees every tile, after the miner has seen all.
  virtual int sweeps() const { return 0; }
  virtual void begin(Stream& stream, const MiningStep& step) { (void)stream, (void)step; }
  /// Takes a tile into the state of its rows; tiles come from left to right. marks [rows, columns].
  virtual void fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) {
    (void)stream, (void)sweep, (void)tile, (void)marks;
  }
  /// Writes (=) terms [rows] once all is folded.
  virtual void finish(Stream& stream, const MiningStep& step, RowTerms* terms) = 0;
  /// Writes (=) dL/dS [rows, columns] of a tile, scale included, to the place where its scores are.
  virtual void gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks, PairScale scale,
                        float* gradient) = 0;
  /// Adds the gradients of the loss's own parameters, and what else needs all tiles to be done.
  virtual void finish_gradient(Stream& stream, const MiningStep& step, PairScale scale) {
    (void)stream, (void)step, (void)scale;
  }
  /// What a pair of a tile takes: its score and its mark, and what the loss keeps itself.
  virtual int64_t pair_bytes() const { return 5; }
  /// The divisor of a term, from the sum of all rows' divisors.
  virtual double divisor(double sum) const { return sum; }

  /// Each row's hardest pairs, complete in `finish` and `gradient`.
  const HardestPairs& hardest() const { return hardest_; }

 private:
  struct Tiles;
  LossValue over(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                 const Columns& columns, const Tensor& anchor_gradients, double weight);
  void fold_tile(Stream& stream, int sweep, const ScoreTile& tile);
  const uint8_t* marks_of(Stream& stream, const ScoreTile& tile);

  const std::unique_ptr<Miner> miner_;
  NoiseGuard guard_;
  HardestPairs hardest_;
  RowSums sums_;
  Tensor scores_, marks_, unfit_, terms_;
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
