#include <cmath>

#include "common/engine/launch.h"
#include "common/ops/l2_normalize.h"

namespace kindred {
namespace {

template <class T>
class L2NormalizeKernel final : public Kernel {
 public:
  L2NormalizeKernel(const L2Normalize&, const KernelSpec& spec)
      : rows_(spec.output.rows()), cols_(spec.output[-1]) {}

  void forward(Stream& stream, const Io& io) override {
    const int64_t cols = cols_;
    const T* const x = io.inputs[0].data<T>();
    T* const y = io.output.data<T>();
    constexpr float kEps = L2Normalize::kEps;
    launch_rows(
        stream, rows_,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const T* const from = x + r * cols;
          const float length = sqrtf(row.sum(cols, [=](int64_t c) { return from[c] * from[c]; }));
          const float scale = 1 / (length > kEps ? length : kEps);
          row.each(cols, [=](int64_t c) { y[r * cols + c] = scale * from[c]; });
        },
        2 * cols);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const int64_t cols = cols_;
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    T* const dx = grads.inputs[0].data<T>();
    const bool accumulate = grads.accumulate[0] != 0;
    constexpr float kEps = L2Normalize::kEps;
    launch_rows(
        stream, rows_,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const T *const from = x + r * cols, *const g = dy + r * cols;
          const float length = sqrtf(row.sum(cols, [=](int64_t c) { return from[c] * from[c]; }));
          const float scale = 1 / (length > kEps ? length : kEps);
          const float along = row.sum(cols, [=](int64_t c) { return g[c] * from[c]; }) * scale;  // g . y
          const float pull = length > kEps ? along * scale : 0;
          row.each(cols, [=](int64_t c) {
            const float value = scale * (g[c] - pull * from[c]);
            dx[r * cols + c] = accumulate ? dx[r * cols + c] + value : value;
          });
        },
        3 * cols);
  }

 private:
  const int64_t rows_, cols_;
};

KINDRED_SINGLE_SOURCE_KERNEL("l2_normalize", L2Normalize, L2NormalizeKernel);

}  // namespace
}  // namespace kindred
