#include "common/engine/launch.h"
#include "common/ops/affine.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

/// The tensor is seen as rows of C; the two parameters' gradients are column sums, summed once more.
template <class T>
class AffineKernel final : public Kernel {
 public:
  AffineKernel(const Affine&, const KernelSpec& spec)
      : rows_(spec.output.rows()), cols_(spec.output[-1]), training_(spec.training) {}

  int64_t scratch_bytes() const override {
    return training_ ? sums_bytes() + columns_scratch_bytes<2>(rows_, cols_) : 0;
  }

  void forward(Stream& stream, const Io& io) override {
    const T* const x = io.inputs[0].data<T>();
    const float *const scale = io.parameters[0].f32(), *const bias = io.parameters[1].f32();
    const auto value = [=] KINDRED_DEV(int64_t i) { return *scale * x[i] + *bias; };
    write_each(stream, io.output.elements(), io.output.data<T>(), false, value);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const int64_t cols = cols_;
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    const float* const scale = io.parameters[0].f32();
    float* const sums = static_cast<float*>(io.scratch.raw());  // [2, C]: dy x, dy
    const Tensor partials = io.scratch.slice(sums_bytes(), io.scratch.elements() - sums_bytes());
    launch_columns<2>(
        stream, rows_, cols,
        [=] KINDRED_DEV(int64_t r, int64_t c) {
          const float g = dy[r * cols + c];
          return Sums<2>{{g * x[r * cols + c], g}};
        },
        {{sums, sums + cols}}, Write::set, partials);
    float *const dscale = grads.parameters[0].f32(), *const dbias = grads.parameters[1].f32();
    launch_rows(stream, 2, [=] KINDRED_DEV(const Row& row, int64_t which) {
      const float total = row.sum(cols, [=](int64_t c) { return sums[which * cols + c]; });
      row.once([=] { *(which == 0 ? dscale : dbias) += total; });
    });
    if (!grads.inputs[0]) return;
    const auto value = [=] KINDRED_DEV(int64_t i) { return *scale * dy[i]; };
    write_each(stream, grads.output.elements(), grads.inputs[0].data<T>(), grads.accumulate[0] != 0, value);
  }

 private:
  int64_t sums_bytes() const { return 2 * cols_ * static_cast<int64_t>(sizeof(float)); }

  const int64_t rows_, cols_;
  const bool training_;
};

KINDRED_SINGLE_SOURCE_KERNEL("affine", Affine, AffineKernel);

}  // namespace
}  // namespace kindred
