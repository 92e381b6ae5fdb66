#include <dnnl.h>

#include "common/base/parallel.h"
#include "common/engine/gemm.h"

namespace kindred {
namespace {

char letter(Transpose transpose) { return transpose == Transpose::yes ? 'T' : 'N'; }

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

void gemm_batched(Stream& stream, int64_t count, BatchStride stride, Transpose trans_a, Transpose trans_b,
                  int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
                  int64_t ldb, float beta, float* c, int64_t ldc) {
  parallel_for(count, [&](int64_t i) {
    gemm(stream, trans_a, trans_b, m, n, k, alpha, a + i * stride.a, lda, b + i * stride.b, ldb, beta,
         c + i * stride.c, ldc);
  });
}

}  // namespace kindred
