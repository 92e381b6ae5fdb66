#include "index/dot.h"

#include <cstring>

namespace kindred {

namespace {

// Sixteen floats: one AVX-512 register, or as many narrower ones as the processor needs.
constexpr int kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

Lanes load_part(const float* from, int count) {
  Lanes lanes{};
  std::memcpy(&lanes, from, sizeof(float) * static_cast<size_t>(count));
  return lanes;
}

float sum(const Lanes& lanes) {
  float part[kLanes];
  std::memcpy(part, &lanes, sizeof part);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) part[i] += part[i + half];
  return part[0];
}

// Q x R dot products at once. Each has its own accumulator that sees the same operations in the same order
// for every Q and R: that is what makes the scores independent of how queries are grouped.
template <int Q, int R>
void tile(const float* queries, const float* rows, int dim, float* scores, int64_t stride) {
  Lanes total[Q][R] = {};
  const auto step = [&](const Lanes(&q)[Q], const Lanes(&r)[R]) {
    for (int i = 0; i < Q; ++i)
      for (int j = 0; j < R; ++j) total[i][j] += q[i] * r[j];
  };
  int d = 0;
  Lanes q[Q], r[R];
  for (; d + kLanes <= dim; d += kLanes) {
    for (int i = 0; i < Q; ++i) q[i] = load(queries + int64_t{i} * dim + d);
    for (int j = 0; j < R; ++j) r[j] = load(rows + int64_t{j} * dim + d);
    step(q, r);
  }
  if (d < dim) {
    for (int i = 0; i < Q; ++i) q[i] = load_part(queries + int64_t{i} * dim + d, dim - d);
    for (int j = 0; j < R; ++j) r[j] = load_part(rows + int64_t{j} * dim + d, dim - d);
    step(q, r);
  }
  for (int i = 0; i < Q; ++i)
    for (int j = 0; j < R; ++j) scores[i * stride + j] = sum(total[i][j]);
}

template <int Q>
void tile_row(const float* queries, const float* vectors, int64_t rows, int dim, float* scores) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) tile<Q, 4>(queries, vectors + r * dim, dim, scores + r, rows);
  for (; r < rows; ++r) tile<Q, 1>(queries, vectors + r * dim, dim, scores + r, rows);
}

}  // namespace

float dot(const float* a, const float* b, int dim) {
  float score;
  tile<1, 1>(a, b, dim, &score, 1);
  return score;
}

void dot_block(const float* queries, int64_t query_count, const float* vectors, int64_t row_count, int dim,
               float* scores) {
  int64_t q = 0;
  for (; q + 4 <= query_count; q += 4)
    tile_row<4>(queries + q * dim, vectors, row_count, dim, scores + q * row_count);
  for (; q < query_count; ++q)
    tile_row<1>(queries + q * dim, vectors, row_count, dim, scores + q * row_count);
}

}  // namespace kindred
