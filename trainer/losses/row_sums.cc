#include "trainer/losses/row_sums.h"

#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

const Tensor& sized(Stream& stream, Tensor& tensor, const Shape& shape, DType dtype) {
  if (!tensor || !(tensor.shape() == shape)) tensor = make_tensor(stream, shape, dtype);
  return tensor;
}

const Tensor& roomy(Stream& stream, Tensor& tensor, int64_t elements, DType dtype) {
  if (!tensor || tensor.elements() < elements) tensor = make_tensor(stream, Shape{elements}, dtype);
  return tensor;
}

float* RowSums::begin(Stream& stream, int64_t rows, int64_t numbers) {
  return sized(stream, mine_, Shape{rows, numbers}).f32();
}

std::vector<double> RowSums::over_all_ranks(Stream& stream, Communicator& communicator) {
  const int64_t numbers = mine_.shape()[1];
  sized(stream, all_, Shape{mine_.shape()[0] * communicator.size(), numbers});
  communicator.all_gather(stream, mine_, all_);
  return host_sums(stream, all_);
}

std::vector<double> RowSums::over_own_rows(Stream& stream) { return host_sums(stream, mine_); }

std::vector<double> RowSums::host_sums(Stream& stream, const Tensor& table) const {
  const int64_t numbers = table.shape()[1];
  std::vector<float> rows(static_cast<size_t>(table.elements()));
  stream.copy(rows.data(), table.raw(), table.bytes());
  stream.wait();
  std::vector<double> sums(static_cast<size_t>(numbers));
  for (size_t i = 0; i < rows.size(); ++i) sums[i % sums.size()] += static_cast<double>(rows[i]);
  return sums;
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
