#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "common/ops/elementwise.h"
#include "common/ops/linear.h"

namespace kindred {
namespace {

class LinearKernel final : public Kernel {
 public:
  LinearKernel(const Linear& op, const KernelSpec& spec)
      : rows_(spec.output.rows()),
        in_(spec.inputs[0][-1]),
        out_(op.outputs),
        bias_(op.bias),
        training_(spec.training) {}

  int64_t scratch_bytes() const override {
    return training_ && bias_ ? columns_scratch_bytes<1>(rows_, out_) : 0;
  }

  void forward(Stream& stream, const Io& io) override {
    if (bias_) {  // laid down first, the product added to it
      const float* const bias = io.parameters[1].f32();
      const auto value = [=] KINDRED_DEV(int64_t, int64_t c) { return bias[c]; };
      write_matrix(stream, rows_, out_, io.output.f32(), false, value);
    }
    gemm(stream, Transpose::no, Transpose::yes, rows_, out_, in_, 1, io.inputs[0].f32(), in_,
         io.parameters[0].f32(), in_, bias_ ? 1.0f : 0.0f, io.output.f32(), out_);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const float* const dy = grads.output.f32();
    gemm(stream, Transpose::yes, Transpose::no, out_, in_, rows_, 1, dy, out_, io.inputs[0].f32(), in_, 1,
         grads.parameters[0].f32(), in_);
    if (grads.inputs[0]) {
      gemm(stream, Transpose::no, Transpose::no, rows_, in_, out_, 1, dy, out_, io.parameters[0].f32(), in_,
           grads.accumulate[0] != 0 ? 1.0f : 0.0f, grads.inputs[0].f32(), in_);
    }
    if (!bias_) return;
    const int64_t out = out_;
    launch_columns<1>(
        stream, rows_, out, [=] KINDRED_DEV(int64_t r, int64_t c) { return Sums<1>{{dy[r * out + c]}}; },
        {{grads.parameters[1].f32()}}, Write::add, io.scratch);
  }

 private:
  const int64_t rows_, in_, out_;
  const bool bias_, training_;
};

KINDRED_SINGLE_SOURCE_KERNEL("linear", Linear, LinearKernel);

}  // namespace
}  // namespace kindred
