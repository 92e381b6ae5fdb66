#include "common/engine/cast.h"

#include <type_traits>

#include "common/engine/launch.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

/// To T, from the other type of storage.
template <class T>
class CastKernel final : public Kernel {
 public:
  using From = std::conditional_t<std::is_same_v<T, float>, BFloat16, float>;

  CastKernel(const Cast&, const KernelSpec&) {}

  void forward(Stream& stream, const Io& io) override {
    const From* const x = io.inputs[0].data<From>();
    const auto value = [=] KINDRED_DEV(int64_t i) { return static_cast<float>(x[i]); };
    write_each(stream, io.output.elements(), io.output.data<T>(), false, value);
  }
  void backward(Stream& stream, const Io&, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const T* const dy = grads.output.data<T>();
    const auto value = [=] KINDRED_DEV(int64_t i) { return static_cast<float>(dy[i]); };
    write_each(stream, grads.output.elements(), grads.inputs[0].data<From>(), grads.accumulate[0] != 0,
               value);
  }
};

KINDRED_SINGLE_SOURCE_KERNEL("cast", Cast, CastKernel);

}  // namespace
}  // namespace kindred
