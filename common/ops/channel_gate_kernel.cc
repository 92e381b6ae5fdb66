#include "common/engine/launch.h"
#include "common/ops/channel_gate.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

template <class T>
class ChannelGateKernel final : public Kernel {
 public:
  ChannelGateKernel(const ChannelGate&, const KernelSpec& spec)
      : images_(spec.output[0]),
        pixels_(spec.output[1] * spec.output[2]),
        channels_(spec.output[3]),
        training_(spec.training) {}

  /// Backward's sums over pixels [N, C].
  int64_t scratch_bytes() const override {
    return training_ ? images_ * channels_ * static_cast<int64_t>(sizeof(float)) : 0;
  }

  void forward(Stream& stream, const Io& io) override {
    gate(stream, io.inputs[0], io.inputs[1], io.output, false);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (grads.inputs[0]) gate(stream, grads.output, io.inputs[1], grads.inputs[0], grads.accumulate[0] != 0);
    if (!grads.inputs[1]) return;
    const int64_t pixels = pixels_, channels = channels_;
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    T* const dgate = grads.inputs[1].data<T>();
    float* const scratch = static_cast<float*>(io.scratch.raw());
    const bool accumulate = grads.accumulate[1] != 0;
    launch_rows(
        stream, images_,
        [=] KINDRED_DEV(const Row& row, int64_t image) {
          T* const to = dgate + image * channels;
          float* const sums = scratch + image * channels;
          row.each(channels, [=](int64_t c) { sums[c] = 0; });
          for (int64_t p = image * pixels; p < (image + 1) * pixels; ++p) {
            row.each(channels, [=](int64_t c) { sums[c] += dy[p * channels + c] * x[p * channels + c]; });
          }
          row.each(channels, [=](int64_t c) { to[c] = accumulate ? to[c] + sums[c] : sums[c]; });
        },
        pixels * channels);
  }

  /// to = or += from, channels scaled by each image's gate. Public: nvcc wants it so of functions with device
  /// lambdas.
  void gate(Stream& stream, const Tensor& from, const Tensor& by, const Tensor& to, bool accumulate) const {
    const int64_t pixels = pixels_, channels = channels_;
    const T *const x = from.data<T>(), *const factor = by.data<T>();
    const auto value = [=] KINDRED_DEV(int64_t r, int64_t c) {
      return x[r * channels + c] * factor[r / pixels * channels + c];
    };
    write_matrix(stream, images_ * pixels, channels, to.data<T>(), accumulate, value);
  }

 private:
  const int64_t images_, pixels_, channels_;
  const bool training_;
};

KINDRED_SINGLE_SOURCE_KERNEL("channel_gate", ChannelGate, ChannelGateKernel);

}  // namespace
}  // namespace kindred
