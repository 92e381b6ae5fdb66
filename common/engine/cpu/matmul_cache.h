// oneDNN's bf16 matrix products of a stream: a product is planned when its shape is first asked for, so that
// steps after the first plan and allocate nothing.
#pragma once

#include <compare>
#include <map>
#include <memory>

#include "common/engine/cpu/dnnl_compat.h"
#include "common/engine/gemm.h"

namespace kindred {

/// c = op(a) op(b) + bias + beta c, as gemm has it: what oneDNN plans by.
struct MatmulShape {
  Transpose trans_a, trans_b;
  int64_t m, n, k, lda, ldb, ldc;
  bool bias, add;  // add: beta is 1
  DType c;

  auto operator<=>(const MatmulShape&) const = default;
};

class MatmulCache {
 public:
  explicit MatmulCache(Stream& stream) : stream_(stream) {}

  /// Throws dnnl::error when oneDNN cannot.
  void run(const MatmulShape& shape, const BFloat16* a, const BFloat16* b, const float* bias, void* c);

 private:
  onednn::Call plan(const MatmulShape& shape);

  Stream& stream_;
  std::map<MatmulShape, onednn::Call> planned_;
  std::shared_ptr<std::byte> scratch_;  // the largest that any product asked for
  int64_t scratch_bytes_ = 0;
};

/// Requires: a stream of the CPU.
MatmulCache& matmul_cache(Stream& stream);

}  // namespace kindred
