#include "common/engine/launch.h"
#include "common/ops/elementwise.h"
#include "common/ops/reshape.h"

namespace kindred {
namespace {

template <class T>
class ReshapeKernel final : public Kernel {
 public:
  ReshapeKernel(const Reshape&, const KernelSpec&) {}

  void forward(Stream& stream, const Io& io) override {
    stream.copy(io.output.raw(), io.inputs[0].raw(), io.output.bytes());
  }
  void backward(Stream& stream, const Io&, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const T* const dy = grads.output.data<T>();
    const auto value = [=] KINDRED_DEV(int64_t i) { return dy[i]; };
    write_each(stream, grads.output.elements(), grads.inputs[0].data<T>(), grads.accumulate[0] != 0, value);
  }
};

KINDRED_SINGLE_SOURCE_KERNEL("reshape", Reshape, ReshapeKernel);

}  // namespace
}  // namespace kindred
