#include "common/engine/launch.h"
#include "common/ops/concat.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

template <class T>
class ConcatKernel final : public Kernel {
 public:
  ConcatKernel(const Concat&, const KernelSpec& spec) : rows_(spec.output.rows()), cols_(spec.output[-1]) {}

  void forward(Stream& stream, const Io& io) override {
    int64_t first = 0;
    for (const Tensor& input : io.inputs) {
      const int64_t width = input.shape()[-1], cols = cols_;
      const T* const from = input.data<T>();
      T* const to = io.output.data<T>() + first;
      launch_rows(
          stream, rows_,
          [=] KINDRED_DEV(const Row& row, int64_t r) {
            row.each(width, [=](int64_t c) { to[r * cols + c] = from[r * width + c]; });
          },
          width);
      first += width;
    }
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    int64_t first = 0;
    for (size_t k = 0; k < io.inputs.size(); ++k) {
      const int64_t width = io.inputs[k].shape()[-1], cols = cols_;
      if (grads.inputs[k]) {
        const T* const from = grads.output.data<T>() + first;
        const auto value = [=] KINDRED_DEV(int64_t r, int64_t c) { return from[r * cols + c]; };
        write_matrix(stream, rows_, width, grads.inputs[k].data<T>(), grads.accumulate[k] != 0, value);
      }
      first += width;
    }
  }

 private:
  const int64_t rows_, cols_;
};

KINDRED_SINGLE_SOURCE_KERNEL("concat", Concat, ConcatKernel);

}  // namespace
}  // namespace kindred
