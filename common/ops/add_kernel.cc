#include "common/engine/launch.h"
#include "common/ops/add.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

template <class T>
class AddKernel final : public Kernel {
 public:
  AddKernel(const Add&, const KernelSpec&) {}

  /// Two terms at a time, from left to right.
  void forward(Stream& stream, const Io& io) override {
    const T *const a = io.inputs[0].data<T>(), *const b = io.inputs[1].data<T>();
    const int64_t n = io.output.elements();
    write_each(stream, n, io.output.data<T>(), false, [=] KINDRED_DEV(int64_t i) { return a[i] + b[i]; });
    for (size_t k = 2; k < io.inputs.size(); ++k) {
      const T* const term = io.inputs[k].data<T>();
      write_each(stream, n, io.output.data<T>(), true, [=] KINDRED_DEV(int64_t i) { return term[i]; });
    }
  }

  void backward(Stream& stream, const Io&, const Grads& grads) override {
    const T* const dy = grads.output.data<T>();
    for (size_t k = 0; k < grads.inputs.size(); ++k) {
      if (!grads.inputs[k]) continue;
      const auto value = [=] KINDRED_DEV(int64_t i) { return dy[i]; };
      write_each(stream, grads.output.elements(), grads.inputs[k].data<T>(), grads.accumulate[k] != 0, value);
    }
  }
};

KINDRED_SINGLE_SOURCE_KERNEL("add", Add, AddKernel);

}  // namespace
}  // namespace kindred
