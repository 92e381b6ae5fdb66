#include <dnnl.h>

#include <vector>

#include "common/base/parallel.h"
#include "common/engine/cpu/cpu_stream.h"  // native_bf16
#include "common/engine/cpu/matmul_cache.h"
#include "common/engine/gemm.h"

namespace kindred {
namespace {

char letter(Transpose transpose) { return transpose == Transpose::yes ? 'T' : 'N'; }

/// rows [rows, cols] of `from`, wide and close together.
std::vector<float> widened(const BFloat16* from, int64_t rows, int64_t cols, int64_t ld) {
  std::vector<float> wide(static_cast<size_t>(rows * cols));
  parallel_for(
      rows, [&](int64_t r) { std::copy_n(from + r * ld, cols, wide.data() + r * cols); }, 64);
  return wide;
}

/// Without bf16 products: the same on widened copies.
template <class C>
void emulate(Stream& stream, const MatmulShape& s, const BFloat16* a, const BFloat16* b, const float* bias,
             C* c) {
  const bool flip_a = s.trans_a == Transpose::yes, flip_b = s.trans_b == Transpose::yes;
  const std::vector<float> wide_a = widened(a, flip_a ? s.k : s.m, flip_a ? s.m : s.k, s.lda);
  const std::vector<float> wide_b = widened(b, flip_b ? s.n : s.k, flip_b ? s.k : s.n, s.ldb);
  std::vector<float> product(static_cast<size_t>(s.m * s.n));
  gemm(stream, s.trans_a, s.trans_b, s.m, s.n, s.k, 1, wide_a.data(), flip_a ? s.m : s.k, wide_b.data(),
       flip_b ? s.k : s.n, 0, product.data(), s.n);
  parallel_for(
      s.m,
      [&](int64_t r) {
        const float* const from = product.data() + r * s.n;
        C* const to = c + r * s.ldc;
        for (int64_t j = 0; j < s.n; ++j)
          to[j] = from[j] + (bias != nullptr ? bias[j] : 0) + (s.add ? static_cast<float>(to[j]) : 0);
      },
      64);
}

template <class C>
void multiply(Stream& stream, const MatmulShape& s, const BFloat16* a, const BFloat16* b, const float* bias,
              C* c) {
  if (!native_bf16()) return emulate(stream, s, a, b, bias, c);
  try {
    matmul_cache(stream).run(s, a, b, bias, c);
  } catch (const dnnl::error& error) {
    fail("oneDNN refused a bf16 matrix product m=", s.m, " n=", s.n, " k=", s.k, ": ", error.what());
  }
}

}  // namespace

void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  KINDRED_ASSERT(stream.device().type == Device::cpu && m >= 1 && n >= 1 && k >= 1);
  const dnnl_status_t status =
      dnnl_sgemm(letter(trans_a), letter(trans_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (status != dnnl_success) {
    fail("oneDNN refused a matrix product m=", m, " n=", n, " k=", k, ": status ", static_cast<int>(status));
  }
}

void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const BFloat16* a, int64_t lda, const BFloat16* b, int64_t ldb, float beta, float* c, int64_t ldc,
          const float* bias) {
  KINDRED_ASSERT(alpha == 1 && m >= 1 && n >= 1 && k >= 1 && (beta == 0 || beta == 1));
  multiply(stream, {trans_a, trans_b, m, n, k, lda, ldb, ldc, bias != nullptr, beta == 1, DType::f32}, a, b,
           bias, c);
}

void gemm(Stream& stream, Transpose trans_a, Transpose trans_b, int64_t m, int64_t n, int64_t k, float alpha,
          const BFloat16* a, int64_t lda, const BFloat16* b, int64_t ldb, float beta, BFloat16* c,
          int64_t ldc, const float* bias) {
  KINDRED_ASSERT(alpha == 1 && m >= 1 && n >= 1 && k >= 1 && (beta == 0 || beta == 1));
  multiply(stream, {trans_a, trans_b, m, n, k, lda, ldb, ldc, bias != nullptr, beta == 1, DType::bf16}, a, b,
           bias, c);
}

void gemm_batched(Stream& stream, int64_t count, BatchStride stride, Transpose trans_a, Transpose trans_b,
                  int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float beta, float* c, int64_t ldc) {
  parallel_for(count, [&](int64_t i) {
    gemm(stream, trans_a, trans_b, m, n, k, alpha, a + i * stride.a, lda, b + i * stride.b, ldb, beta,
         c + i * stride.c, ldc);
  });
}

}  // namespace kindred
