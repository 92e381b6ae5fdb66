#include "common/engine/launch.h"
#include "common/ops/elementwise.h"
#include "common/ops/global_average_pool.h"

namespace kindred {
namespace {

constexpr int64_t kTile = 64;  // channels that one row of the launch sums, all pixels of an image

template <class T>
class GlobalAveragePoolKernel final : public Kernel {
 public:
  GlobalAveragePoolKernel(const GlobalAveragePool&, const KernelSpec& spec)
      : images_(spec.inputs[0][0]),
        pixels_(spec.inputs[0][1] * spec.inputs[0][2]),
        channels_(spec.inputs[0][3]) {}

  /// Sums over pixels [N, C].
  int64_t scratch_bytes() const override { return images_ * channels_ * static_cast<int64_t>(sizeof(float)); }

  void forward(Stream& stream, const Io& io) override {
    const int64_t pixels = pixels_, channels = channels_, tiles = (channels + kTile - 1) / kTile;
    const T* const x = io.inputs[0].data<T>();
    T* const y = io.output.data<T>();
    float* const scratch = static_cast<float*>(io.scratch.raw());
    launch_rows(
        stream, images_ * tiles,
        [=] KINDRED_DEV(const Row& row, int64_t job) {
          const int64_t image = job / tiles, first = job % tiles * kTile;
          const int64_t width = channels - first < kTile ? channels - first : kTile;
          const T* const from = x + image * pixels * channels + first;
          float* const sums = scratch + image * channels + first;
          T* const to = y + image * channels + first;
          row.each(width, [=](int64_t c) { sums[c] = from[c]; });
          int64_t p = 1;
          for (; p + 4 <= pixels; p += 4) {
            const T* const at = from + p * channels;
            row.each(width, [=](int64_t c) {
              sums[c] += (at[c] + at[channels + c]) + (at[2 * channels + c] + at[3 * channels + c]);
            });
          }
          for (; p < pixels; ++p) row.each(width, [=](int64_t c) { sums[c] += from[p * channels + c]; });
          const float share = 1.0f / static_cast<float>(pixels);
          row.each(width, [=](int64_t c) { to[c] = share * sums[c]; });
        },
        pixels * kTile);
  }

  void backward(Stream& stream, const Io&, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const int64_t pixels = pixels_, channels = channels_;
    const T* const dy = grads.output.data<T>();
    const float share = 1.0f / static_cast<float>(pixels);
    const auto value = [=] KINDRED_DEV(int64_t r, int64_t c) {
      return share * dy[r / pixels * channels + c];
    };
    write_matrix(stream, images_ * pixels, channels, grads.inputs[0].data<T>(), grads.accumulate[0] != 0,
                 value);
  }

 private:
  const int64_t images_, pixels_, channels_;
};

KINDRED_SINGLE_SOURCE_KERNEL("global_average_pool", GlobalAveragePool, GlobalAveragePoolKernel);

}  // namespace
}  // namespace kindred
