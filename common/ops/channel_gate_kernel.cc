#include "common/engine/launch.h"
#include "common/ops/channel_gate.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

class ChannelGateKernel final : public Kernel {
 public:
  ChannelGateKernel(const ChannelGate&, const KernelSpec& spec)
      : images_(spec.output[0]), pixels_(spec.output[1] * spec.output[2]), channels_(spec.output[3]) {}

  void forward(Stream& stream, const Io& io) override {
    gate(stream, io.inputs[0], io.inputs[1], io.output, false);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (grads.inputs[0]) gate(stream, grads.output, io.inputs[1], grads.inputs[0], grads.accumulate[0] != 0);
    if (!grads.inputs[1]) return;
    const int64_t pixels = pixels_, channels = channels_;
    const float *const x = io.inputs[0].f32(), *const dy = grads.output.f32();
    float* const dgate = grads.inputs[1].f32();
    const bool accumulate = grads.accumulate[1] != 0;
    launch_rows(
        stream, images_,
        [=] KINDRED_DEV(const Row& row, int64_t image) {
          float* const to = dgate + image * channels;
          if (!accumulate) row.each(channels, [=](int64_t c) { to[c] = 0; });
          for (int64_t p = image * pixels; p < (image + 1) * pixels; ++p) {
            row.each(channels, [=](int64_t c) { to[c] += dy[p * channels + c] * x[p * channels + c]; });
          }
        },
        pixels * channels);
  }

  /// to = or += from, channels scaled by each image's gate. Public: nvcc wants it so of functions with device
  /// lambdas.
  void gate(Stream& stream, const Tensor& from, const Tensor& by, const Tensor& to, bool accumulate) const {
    const int64_t pixels = pixels_, channels = channels_;
    const float *const x = from.f32(), *const factor = by.f32();
    const auto value = [=] KINDRED_DEV(int64_t r, int64_t c) {
      return x[r * channels + c] * factor[r / pixels * channels + c];
    };
    write_matrix(stream, images_ * pixels, channels, to.f32(), accumulate, value);
  }

 private:
  const int64_t images_, pixels_, channels_;
};

KINDRED_SINGLE_SOURCE_KERNEL("channel_gate", ChannelGate, ChannelGateKernel);

}  // namespace
}  // namespace kindred
