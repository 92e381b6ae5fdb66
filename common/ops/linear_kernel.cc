#include <type_traits>

#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "common/ops/elementwise.h"
#include "common/ops/linear.h"
#include "common/ops/stored_weights.h"

namespace kindred {
namespace {

template <class T>
class LinearKernel final : public Kernel {
 public:
  LinearKernel(const Linear& op, const KernelSpec& spec)
      : rows_(spec.output.rows()),
        in_(spec.inputs[0][-1]),
        out_(op.outputs),
        bias_(op.bias),
        training_(spec.training),
        weights_(spec.stream, in_ * out_) {}

  int64_t scratch_bytes() const override {
    return training_ && bias_ ? columns_scratch_bytes<1>(rows_, out_) : 0;
  }

  void forward(Stream& stream, const Io& io) override {
    const float* const bias = bias_ ? io.parameters[1].f32() : nullptr;
    const T *const x = io.inputs[0].data<T>(), *const weight = weights_.get(stream, io.parameters[0],
                                                                            io.parameter_version);
    T* const y = io.output.data<T>();
    if constexpr (kF32) {
      if (bias_) {  // laid down first, the product added to it
        const auto value = [=] KINDRED_DEV(int64_t, int64_t c) { return bias[c]; };
        write_matrix(stream, rows_, out_, y, false, value);
      }
      gemm(stream, Transpose::no, Transpose::yes, rows_, out_, in_, 1, x, in_, weight, in_,
           bias_ ? 1.0f : 0.0f, y, out_);
    } else {
      gemm(stream, Transpose::no, Transpose::yes, rows_, out_, in_, 1, x, in_, weight, in_, 0, y, out_, bias);
    }
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const T* const dy = grads.output.data<T>();
    gemm(stream, Transpose::yes, Transpose::no, out_, in_, rows_, 1, dy, out_, io.inputs[0].data<T>(), in_, 1,
         grads.parameters[0].f32(), in_);
    if (grads.inputs[0]) {
      gemm(stream, Transpose::no, Transpose::no, rows_, in_, out_, 1, dy, out_,
           weights_.get(stream, io.parameters[0], io.parameter_version), in_,
           grads.accumulate[0] != 0 ? 1.0f : 0.0f, grads.inputs[0].data<T>(), in_);
    }
    if (!bias_) return;
    const int64_t out = out_;
    launch_columns<1>(
        stream, rows_, out, [=] KINDRED_DEV(int64_t r, int64_t c) { return Sums<1>{{dy[r * out + c]}}; },
        {{grads.parameters[1].f32()}}, Write::add, io.scratch);
  }

 private:
  static constexpr bool kF32 = std::is_same_v<T, float>;

  const int64_t rows_, in_, out_;
  const bool bias_, training_;
  StoredWeights<T> weights_;
};

KINDRED_SINGLE_SOURCE_KERNEL("linear", Linear, LinearKernel);

}  // namespace
}  // namespace kindred
