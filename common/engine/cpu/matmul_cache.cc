#include "common/engine/cpu/matmul_cache.h"

namespace kindred {
namespace {

onednn::Desc matrix(Transpose transpose, int64_t rows, int64_t cols, int64_t ld, DType dtype) {
  const dnnl::memory::dims strides =
      transpose == Transpose::no ? dnnl::memory::dims{ld, 1} : dnnl::memory::dims{1, ld};
  const auto type = dtype == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
  return {{rows, cols}, type, strides};
}

}  // namespace

onednn::Call MatmulCache::plan(const MatmulShape& s) {
  const dnnl::engine& engine = dnnl_engine(stream_);
  dnnl::primitive_attr attr = onednn::user_scratchpad();
  if (s.add) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attr.set_post_ops(sum);
  }
  const onednn::Desc bias =
      s.bias ? onednn::Desc({1, s.n}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab)
             : onednn::Desc();
  const onednn::MatmulDesc desc = onednn::matmul_desc(engine, matrix(s.trans_a, s.m, s.k, s.lda, DType::bf16),
                                                      matrix(s.trans_b, s.k, s.n, s.ldb, DType::bf16), bias,
                                                      matrix(Transpose::no, s.m, s.n, s.ldc, s.c), attr);
  if (const auto bytes = static_cast<int64_t>(desc.scratchpad_desc().get_size()); bytes > scratch_bytes_) {
    scratch_ = stream_.allocate(bytes);
    scratch_bytes_ = bytes;
  }
  return onednn::Call(dnnl::matmul(desc), engine,
                      {{DNNL_ARG_SRC, desc.src_desc()},
                       {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                       {DNNL_ARG_BIAS, bias},
                       {DNNL_ARG_DST, desc.dst_desc()},
                       {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}});
}

void MatmulCache::run(const MatmulShape& shape, const BFloat16* a, const BFloat16* b, const float* bias,
                      void* c) {
  auto found = planned_.find(shape);
  if (found == planned_.end()) found = planned_.emplace(shape, plan(shape)).first;
  found->second.run(dnnl_stream(stream_), {{DNNL_ARG_SRC, a},
                                           {DNNL_ARG_WEIGHTS, b},
                                           {DNNL_ARG_BIAS, bias},
                                           {DNNL_ARG_DST, c},
                                           {DNNL_ARG_SCRATCHPAD, scratch_.get()}});
}

}  // namespace kindred
