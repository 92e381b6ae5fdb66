// Triplets with the distance swap: the negative counts by the nearer of its distances from the anchor and
// from the positive, d(a, n) <- min(d(a, n), d(p, n)). Keeps the positives' embeddings, O(rows x positives).
// Source: Balntas, Riba, Ponsa, Mikolajczyk, "Learning Local Feature Descriptors with Triplets and Shallow
// Convolutional Neural Networks", BMVC 2016.
#pragma once

#include "trainer/losses/triplets.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

class SwappedTripletLoss : public TripletLoss {
 public:
  using TripletLoss::TripletLoss;

  void begin(Stream& stream, const MiningStep& step) override;
  void fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) override;
  void gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks, PairScale scale,
                float* gradient) override;
  void finish_gradient(Stream& stream, const MiningStep& step, PairScale scale) override;

 protected:
  int64_t pair_bytes() const override { return TripletLoss::pair_bytes() + 8; }

 private:
  /// Scores of every row's k-th positive with the columns of a tile, [rows, columns].
  float* score_positives(Stream& stream, const ScoreTile& tile, int64_t k);
  float* embeddings_of(int64_t k) const { return embeddings_.f32() + k * rows_count_ * dim_; }

  int64_t rows_count_ = 0, dim_ = 0;
  float* references_ = nullptr;              // gradients of all columns, or null
  Tensor embeddings_, embedding_gradients_;  // [capacity, rows, dim] of the positives
  Tensor scores_, anchor_slopes_;            // [rows, columns]
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
