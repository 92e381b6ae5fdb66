// What losses share: the score matrix of a step with its way back, and sums over the rows of all ranks.
#pragma once

#include <vector>

#include "trainer/losses/loss.h"
#include "trainer/miners/score_tile.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

/// Makes `tensor` this shape, on the stream's device; keeps its memory when it has that shape already.
const Tensor& sized(Stream& stream, Tensor& tensor, const Shape& shape, DType dtype = DType::f32);

/// This rank's anchors against the rows of all ranks: S = E A^T, [B, M].
class ScoreMatrix {
 public:
  /// Computes S. The tile covers all columns and holds until the next call.
  ScoreTile compute(Stream& stream, const EmbeddingBatch& batch);

  /// dL/dS [B, M], for the loss to write.
  const Tensor& gradient() const { return gradient_; }

  /// anchors += scale G A, references += scale G^T E.
  void add_gradients(Stream& stream, const EmbeddingBatch& batch, double scale,
                     const EmbeddingGradients& gradients) const;

 private:
  Tensor scores_, gradient_;
};

/// A few numbers for each row, summed over the rows of all ranks on the host, in double and in row order: R
/// ranks get the very sums that one rank with all rows gets.
class RowSums {
 public:
  /// [rows, numbers], for a kernel to write.
  float* begin(Stream& stream, int64_t rows, int64_t numbers);
  /// Collective; waits for the stream.
  std::vector<double> over_all_ranks(Stream& stream, Communicator& communicator);

 private:
  Tensor mine_, all_;
};

/// part / whole, and 0 where there is nothing.
inline double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
