// Cosines of many vectors with many, tile by tile. Every score is summed over the dimensions in ascending
// order, so the same two vectors give the same bits wherever they stand in a tile: equal vectors tie exactly,
// and no result depends on block sizes or threads. (A library GEMM promises neither.)
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/base/parallel.h"
#include "common/metrics/retrieval.h"

namespace kindred {

/// scores [rows, columns] = queries [rows, dim] x gallery [columns, dim]^T. Serial.
void score_tile(const float* queries, int64_t rows, const float* gallery, int64_t columns, int dim,
                float* scores);

/// Throws Error unless sizes agree, every value is finite and no row is longer than a unit vector.
void check_vectors(const VectorSet& set, std::string_view what);

/// Throws Error unless both sets are sound and of one dimension.
void check_comparable(const VectorSet& queries, const VectorSet& gallery);

/// Cuts [0, n) into blocks of `block` and calls f(worker, begin, end) for each, on all cores; `worker` in
/// [0, block_workers(n, block)) names memory that no other call uses at the same time.
inline int64_t block_workers(int64_t n, int64_t block) {
  return std::max<int64_t>(1, std::min<int64_t>(thread_count(), (n + block - 1) / block));
}
template <class F>
void parallel_blocks(int64_t n, int64_t block, F&& f) {
  std::atomic<int64_t> next{0};
  parallel_for(block_workers(n, block), [&](int64_t worker) {
    for (int64_t begin; (begin = next.fetch_add(block)) < n;) f(worker, begin, std::min(n, begin + block));
  });
}

/// A float as an unsigned number of the same order; -0 and +0 are one. Requires: not NaN.
inline uint32_t ordered_bits(float score) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, score + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
inline float score_of_bits(uint32_t ordered) {
  return __builtin_bit_cast(float, ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

}  // namespace kindred
