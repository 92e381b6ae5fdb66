#include "common/base/philox.h"
#include "common/engine/launch.h"
#include "common/ops/dropout.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

template <class T>
class DropoutKernel final : public Kernel {
 public:
  DropoutKernel(const Dropout& op, const KernelSpec& spec)
      : rate_(static_cast<float>(op.rate)),
        upscale_(op.scale == DropoutScale::upscale_in_train),
        training_(spec.training),
        rows_(spec.output[0]),
        cols_(spec.output.elements() / spec.output[0]),
        node_key_(spec.node_key) {}

  void forward(Stream& stream, const Io& io) override {
    mask(stream, io, io.inputs[0].data<T>(), io.output.data<T>(), false);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    mask(stream, io, grads.output.data<T>(), grads.inputs[0].data<T>(), grads.accumulate[0] != 0);
  }

  /// to = or += from, through this step's mask. One draw per element, a function of its place in the global
  /// batch.
  void mask(Stream& stream, const Io& io, const T* from, T* to, bool accumulate) const {
    const float rate = rate_, kept = upscale_ ? 1 / (1 - rate) : 1;
    if (!training_) {
      const float all = upscale_ ? 1 : 1 - rate;
      return write_each(stream, rows_ * cols_, to, accumulate,
                        [=] KINDRED_DEV(int64_t i) { return all * from[i]; });
    }
    const int64_t cols = cols_, first_row = io.step->first_row;
    const uint64_t key = io.step->seed ^ node_key_;
    const auto step = static_cast<uint32_t>(io.step->step);
    write_matrix(stream, rows_, cols, to, accumulate, [=] KINDRED_DEV(int64_t r, int64_t c) {
      const PhiloxBlock draw =
          philox(key, static_cast<uint32_t>(c), static_cast<uint32_t>(first_row + r), step, 0);
      return unit_float(draw.word[0]) < rate ? 0.0f : kept * from[r * cols + c];
    });
  }

 private:
  const float rate_;
  const bool upscale_, training_;
  const int64_t rows_, cols_;
  const uint64_t node_key_;
};

KINDRED_SINGLE_SOURCE_KERNEL("dropout", Dropout, DropoutKernel);

}  // namespace
}  // namespace kindred
