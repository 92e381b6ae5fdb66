#include "common/engine/launch.h"
#include "common/ops/add.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

class AddKernel final : public Kernel {
 public:
  AddKernel(const Add&, const KernelSpec&) {}

  /// Two terms at a time, from left to right.
  void forward(Stream& stream, const Io& io) override {
    const float *const a = io.inputs[0].f32(), *const b = io.inputs[1].f32();
    const int64_t n = io.output.elements();
    write_each(stream, n, io.output.f32(), false, [=] KINDRED_DEV(int64_t i) { return a[i] + b[i]; });
    for (size_t k = 2; k < io.inputs.size(); ++k) {
      const float* const term = io.inputs[k].f32();
      write_each(stream, n, io.output.f32(), true, [=] KINDRED_DEV(int64_t i) { return term[i]; });
    }
  }

  void backward(Stream& stream, const Io&, const Grads& grads) override {
    const float* const dy = grads.output.f32();
    for (size_t k = 0; k < grads.inputs.size(); ++k) {
      if (!grads.inputs[k]) continue;
      const auto value = [=] KINDRED_DEV(int64_t i) { return dy[i]; };
      write_each(stream, grads.output.elements(), grads.inputs[k].f32(), grads.accumulate[k] != 0, value);
    }
  }
};

KINDRED_SINGLE_SOURCE_KERNEL("add", Add, AddKernel);

}  // namespace
}  // namespace kindred
