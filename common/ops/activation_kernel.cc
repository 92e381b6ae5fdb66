#include "common/engine/launch.h"
#include "common/ops/activation_math.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

template <class T>
struct ActivationForward {
  Stream& stream;
  const Io& io;

  template <Activation A>
  void run() const {
    const T* const x = io.inputs[0].data<T>();
    const auto value = [=] KINDRED_DEV(int64_t i) { return activate<A>(x[i]); };
    write_each(stream, io.output.elements(), io.output.data<T>(), false, value);
  }
};

template <class T>
struct ActivationBackward {
  Stream& stream;
  const Io& io;
  const Grads& grads;

  template <Activation A>
  void run() const {
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    const auto value = [=] KINDRED_DEV(int64_t i) { return dy[i] * activation_slope<A>(x[i]); };
    write_each(stream, grads.output.elements(), grads.inputs[0].data<T>(), grads.accumulate[0] != 0, value);
  }
};

template <class T>
class ActivationKernel final : public Kernel {
 public:
  ActivationKernel(const ActivationOp& op, const KernelSpec&) : activation_(op.activation) {}

  void forward(Stream& stream, const Io& io) override {
    with_activation(activation_, ActivationForward<T>{stream, io});
  }
  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (grads.inputs[0]) with_activation(activation_, ActivationBackward<T>{stream, io, grads});
  }

 private:
  const Activation activation_;
};

KINDRED_SINGLE_SOURCE_KERNEL("activation", ActivationOp, ActivationKernel);

}  // namespace
}  // namespace kindred
