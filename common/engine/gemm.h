// Matrix products, row-major, fp32 and bf16: oneDNN on the CPU.
#pragma once

#include "common/base/bfloat16.h"
#include "common/engine/stream.h"

namespace kindred {

enum class Transpose : bool { no, yes };

/// c = alpha * op(a) * op(b) + beta * c, where op(a) is [m, k], op(b) is [k, n] and c is [m, n]; ld: elements
/// from one stored row to the next. With beta 0, c is not read. The sum over k has an order of its own: equal
/// shapes and thread counts give equal bits. Requires: the memory is the stream's, m, n, k >= 1.
void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

/// The same with bf16 factors and fp32 sums, for alpha 1 and beta 0 or 1; c is rounded once. `bias` [n],
/// added to every row, may be null. Where the CPU has no bf16 products (oneDNN asks for AVX-512), the factors
/// are widened and multiplied in fp32.
void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const BFloat16* a, int64_t lda, const BFloat16* b, int64_t ldb, float beta, float* c, int64_t ldc,
          const float* bias = nullptr);
void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const BFloat16* a, int64_t lda, const BFloat16* b, int64_t ldb, float beta, BFloat16* c,
          int64_t ldc, const float* bias = nullptr);

/// Where the matrices of product i begin: a + i * a, b + i * b, c + i * c, in elements.
struct BatchStride {
  int64_t a = 0, b = 0, c = 0;
};

/// `count` products of one shape, one core each: for many small ones (attention windows).
void gemm_batched(Stream& stream, int64_t count, BatchStride stride, Transpose trans_a, Transpose trans_b,
                  int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace kindred
