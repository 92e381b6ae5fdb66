// Layer normalisation: a row is read three times, from the nearest cache; backward sums the parameters by
// columns.
#include <cmath>

#include "common/engine/launch.h"
#include "common/ops/layer_norm.h"

namespace kindred {

namespace {

template <class T>
class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const LayerNorm& op, const KernelSpec& spec)
      : rows_(spec.output.rows()),
        cols_(spec.output[-1]),
        eps_(static_cast<float>(op.eps)),
        training_(spec.training) {}

  /// Mean and 1 / deviation of every row.
  int64_t state_bytes() const override {
    return training_ ? 2 * rows_ * static_cast<int64_t>(sizeof(float)) : 0;
  }
  int64_t scratch_bytes() const override { return training_ ? columns_scratch_bytes<2>(rows_, cols_) : 0; }

  void forward(Stream& stream, const Io& io) override {
    const int64_t C = cols_;
    const T* const x = io.inputs[0].data<T>();
    const float eps = eps_, *gamma = io.parameters[0].f32(), *beta = io.parameters[1].f32();
    T* const y = io.output.data<T>();
    float* const statistics = static_cast<float*>(io.state.raw());
    const bool keep = training_;
    launch_rows(
        stream, rows_,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const T* const from = x + r * C;
          T* const to = y + r * C;
          const float mean = row.sum(C, [=](int64_t c) { return from[c]; }) / static_cast<float>(C);
          const float variance =  // about the mean: a difference of sums of squares would cancel
              row.sum(C, [=](int64_t c) { return (from[c] - mean) * (from[c] - mean); }) /
              static_cast<float>(C);
          const float scale = 1 / sqrtf(variance + eps);
          row.each(C, [=](int64_t c) { to[c] = (from[c] - mean) * scale * gamma[c] + beta[c]; });
          if (keep) row.once([=] { statistics[2 * r] = mean, statistics[2 * r + 1] = scale; });
        },
        3 * C);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const int64_t C = cols_;
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    const float *const gamma = io.parameters[0].f32(), *const statistics =
                                                           static_cast<const float*>(io.state.raw());
    launch_columns<2>(
        stream, rows_, C,
        [=] KINDRED_DEV(int64_t r, int64_t c) {
          const float g = dy[r * C + c];
          return Sums<2>{{g * (x[r * C + c] - statistics[2 * r]) * statistics[2 * r + 1], g}};
        },
        {{grads.parameters[0].f32(), grads.parameters[1].f32()}}, Write::add, io.scratch);
    if (!grads.inputs[0]) return;
    // With z = (x - mean) scale and g = gamma dy: dx = scale (g - mean(g) - z mean(g z)).
    const bool add = grads.accumulate[0] != 0;
    T* const dx = grads.inputs[0].data<T>();
    launch_rows(
        stream, rows_,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const T *const from = x + r * C, *const gradient = dy + r * C;
          T* const to = dx + r * C;
          const float mean = statistics[2 * r], scale = statistics[2 * r + 1],
                      share = 1 / static_cast<float>(C);
          const float g_mean = share * row.sum(C, [=](int64_t c) { return gamma[c] * gradient[c]; });
          const float gz_mean = share * row.sum(C, [=](int64_t c) {
            return gamma[c] * gradient[c] * (from[c] - mean) * scale;
          });
          row.each(C, [=](int64_t c) {
            const float value =
                scale * (gamma[c] * gradient[c] - g_mean - (from[c] - mean) * scale * gz_mean);
            to[c] = add ? to[c] + value : value;
          });
        },
        4 * C);
  }

 private:
  int64_t rows_, cols_;
  float eps_;
  bool training_;
};

KINDRED_SINGLE_SOURCE_KERNEL("layer_norm", LayerNorm, LayerNormKernel);

}  // namespace

}  // namespace kindred
