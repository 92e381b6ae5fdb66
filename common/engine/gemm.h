// Matrix products, row-major, fp32: oneDNN on the CPU.
#pragma once

#include "common/engine/stream.h"

namespace kindred {

enum class Transpose : bool { no, yes };

/// c = alpha * op(a) * op(b) + beta * c, where op(a) is [m, k], op(b) is [k, n] and c is [m, n]; ld: elements
/// from one stored row to the next. With beta 0, c is not read. The sum over k has an order of its own: equal
/// shapes and thread counts give equal bits. Requires: the memory is the stream's, m, n, k >= 1.
void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

/// Where the matrices of product i begin: a + i * a, b + i * b, c + i * c, in elements.
struct BatchStride {
  int64_t a = 0, b = 0, c = 0;
};

/// `count` products of one shape, one core each: for many small ones (attention windows).
void gemm_batched(Stream& stream, int64_t count, BatchStride stride, Transpose trans_a, Transpose trans_b,
                  int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace kindred
