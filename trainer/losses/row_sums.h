// What losses share: memory that outlives a step, and sums over the rows of all ranks.
#pragma once

#include <vector>

#include "trainer/losses/loss.h"
#include "trainer/miners/score_tile.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

/// Makes `tensor` this shape, on the stream's device; keeps its memory when it has that shape already.
const Tensor& sized(Stream& stream, Tensor& tensor, const Shape& shape, DType dtype = DType::f32);

/// Makes `tensor` at least this long; it grows and never shrinks. What it held is lost when it grows.
const Tensor& roomy(Stream& stream, Tensor& tensor, int64_t elements, DType dtype = DType::f32);

/// A few numbers for each row, summed over the rows of all ranks on the host, in double and in row order: R
/// ranks get the very sums that one rank with all rows gets.
class RowSums {
 public:
  /// [rows, numbers], for a kernel to write.
  float* begin(Stream& stream, int64_t rows, int64_t numbers);
  /// Collective; waits for the stream.
  std::vector<double> over_all_ranks(Stream& stream, Communicator& communicator);
  /// Where every rank has all rows.
  std::vector<double> over_own_rows(Stream& stream);

 private:
  std::vector<double> host_sums(Stream& stream, const Tensor& table) const;

  Tensor mine_, all_;
};

/// part / whole, and 0 where there is nothing.
inline double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
