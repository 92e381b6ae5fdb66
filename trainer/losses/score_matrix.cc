#include "trainer/losses/score_matrix.h"

#include "common/engine/gemm.h"
#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

const Tensor& sized(Stream& stream, Tensor& tensor, const Shape& shape, DType dtype) {
  if (!tensor || !(tensor.shape() == shape)) tensor = make_tensor(stream, shape, dtype);
  return tensor;
}

ScoreTile ScoreMatrix::compute(Stream& stream, const EmbeddingBatch& batch) {
  const int64_t rows = batch.embeddings.shape()[0], dim = batch.embeddings.shape()[1];
  const int64_t columns = batch.all_embeddings.shape()[0];
  sized(stream, scores_, Shape{rows, columns});
  sized(stream, gradient_, Shape{rows, columns});
  gemm(stream, Transpose::no, Transpose::yes, rows, columns, dim, 1, batch.embeddings.f32(), dim,
       batch.all_embeddings.f32(), dim, 0, scores_.f32(), columns);
  ScoreTile tile{};
  tile.scores = scores_.f32();
  tile.row_labels = batch.labels.data<int64_t>();
  tile.row_ids = batch.sample_ids.data<int64_t>();
  tile.column_labels = batch.all_labels.data<int64_t>();
  tile.column_ids = batch.all_sample_ids.data<int64_t>();
  tile.rows = rows;
  tile.columns = columns;
  return tile;
}

void ScoreMatrix::add_gradients(Stream& stream, const EmbeddingBatch& batch, double scale,
                                const EmbeddingGradients& gradients) const {
  const int64_t rows = gradient_.shape()[0], columns = gradient_.shape()[1],
                dim = batch.embeddings.shape()[1];
  const auto alpha = static_cast<float>(scale);
  gemm(stream, Transpose::no, Transpose::no, rows, dim, columns, alpha, gradient_.f32(), columns,
       batch.all_embeddings.f32(), dim, 1, gradients.anchors.f32(), dim);
  gemm(stream, Transpose::yes, Transpose::no, columns, dim, rows, alpha, gradient_.f32(), columns,
       batch.embeddings.f32(), dim, 1, gradients.references.f32(), dim);
}

float* RowSums::begin(Stream& stream, int64_t rows, int64_t numbers) {
  return sized(stream, mine_, Shape{rows, numbers}).f32();
}

std::vector<double> RowSums::over_all_ranks(Stream& stream, Communicator& communicator) {
  const int64_t numbers = mine_.shape()[1];
  sized(stream, all_, Shape{mine_.shape()[0] * communicator.size(), numbers});
  communicator.all_gather(stream, mine_, all_);
  std::vector<float> rows(static_cast<size_t>(all_.elements()));
  stream.copy(rows.data(), all_.raw(), all_.bytes());
  stream.wait();
  std::vector<double> sums(static_cast<size_t>(numbers));
  for (size_t i = 0; i < rows.size(); ++i) sums[i % sums.size()] += static_cast<double>(rows[i]);
  return sums;
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
