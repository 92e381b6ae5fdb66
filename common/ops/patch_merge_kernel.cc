// Patch merging moves pixels and computes nothing. A row is one pixel's channels.
#include "common/engine/launch.h"
#include "common/ops/patch_merge.h"

namespace kindred {

namespace {

template <class T>
class PatchMergeKernel final : public Kernel {
 public:
  PatchMergeKernel(const PatchMerge&, const KernelSpec& spec)
      : input_(spec.inputs[0]), output_(spec.output) {}

  void forward(Stream& stream, const Io& io) override {
    const int64_t H = input_[1], W = input_[2], C = input_[3], h = output_[1], w = output_[2];
    const T* const x = io.inputs[0].data<T>();
    T* const y = io.output.data<T>();
    launch_rows(
        stream, output_.rows() * 4,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t corner = r % 4, pixel = r / 4;
          const int64_t i = pixel / w % h * 2 + corner % 2, j = pixel % w * 2 + corner / 2;
          const bool inside = i < H && j < W;
          const T* const from = x + ((pixel / (h * w) * H + i) * W + j) * C;
          T* const to = y + r * C;
          row.each(C, [=](int64_t c) { to[c] = inside ? from[c] : 0.f; });
        },
        C);
  }

  void backward(Stream& stream, const Io&, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const int64_t H = input_[1], W = input_[2], C = input_[3], h = output_[1], w = output_[2];
    const T* const dy = grads.output.data<T>();
    T* const dx = grads.inputs[0].data<T>();
    const bool add = grads.accumulate[0] != 0;
    launch_rows(
        stream, input_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t i = r / W % H, j = r % W, corner = j % 2 * 2 + i % 2;
          const T* const from = dy + (((r / (H * W) * h + i / 2) * w + j / 2) * 4 + corner) * C;
          T* const to = dx + r * C;
          row.each(C, [=](int64_t c) { to[c] = add ? to[c] + from[c] : from[c]; });
        },
        C);
  }

 private:
  Shape input_, output_;
};

KINDRED_SINGLE_SOURCE_KERNEL("patch_merge", PatchMerge, PatchMergeKernel);

}  // namespace

}  // namespace kindred
