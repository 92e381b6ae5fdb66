// Op: what is computed. Kernel: the same made ready for one device and one set of shapes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/bfloat16.h"
#include "common/base/registry.h"
#include "common/base/tensor.h"
#include "common/engine/communicator.h"
#include "common/engine/stream.h"

namespace kindred {

/// What backward reads again, and the planner therefore keeps: bit i of `inputs` for input i.
struct Saved {
  uint32_t inputs = 0;
  bool output = false;
};

/// Attributes, shape rule and cost of one operation; knows no device. Every op has one output.
class Op {
 public:
  virtual ~Op() = default;
  /// The name kernels are registered under: "conv2d".
  virtual std::string_view type() const = 0;
  /// Throws Error naming expected and actual shapes.
  virtual Shape output_shape(std::span<const Shape> inputs) const = 0;
  virtual Saved saved() const { return {}; }
  /// Multiply-accumulates of one forward pass, as papers count them (convolutions, linears, attention
  /// products).
  virtual int64_t macs(std::span<const Shape> inputs) const {
    (void)inputs;
    return 0;
  }
  /// Inference only: this op followed by `next`, which reads its output as input number `input` and nobody
  /// else does, as one op; null when there is no such op. It takes this op's inputs followed by next's other
  /// inputs, and this op's parameters followed by next's.
  virtual std::shared_ptr<const Op> fused_with(const Op& next, int input) const {
    (void)next, (void)input;
    return nullptr;
  }
  /// Inference only: this op on the outputs of `branches`, which all read one and the same value and are read
  /// by nobody else, as one op of that value; null when there is no such op. It takes the branches'
  /// parameters in their order, followed by this op's.
  virtual std::shared_ptr<const Op> merged_with(std::span<const Op* const> branches) const {
    (void)branches;
    return nullptr;
  }
  /// Attributes for dumps: "k=3 s=2".
  virtual std::string attributes() const { return ""; }
};

/// What random kernels (dropout, drop path) key their draws with, so that no draw depends on rank or world
/// size.
struct StepInfo {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t first_row = 0;  // global index of this rank's first sample in the batch: rank * B
};

/// The tensors of one call.
struct Io {
  std::span<const Tensor> inputs;
  Tensor output;
  std::span<const Tensor> parameters;  // values, in the op's order, buffers included
  Tensor state;                        // u8 bytes that live from forward to backward
  Tensor scratch;                      // u8 bytes for this call only
  const StepInfo* step = nullptr;
  int64_t parameter_version = 0;  // moves when parameter values change: pack again
};

/// Gradients of one backward call.
struct Grads {
  Tensor output;                        // dL/d(output), complete; a kernel may not write it
  std::span<const Tensor> inputs;       // dL/d(input i); empty where nobody wants it
  std::span<const uint8_t> accumulate;  // input i: 0 write with =, 1 add with +=
  std::span<const Tensor> parameters;   // always +=; empty for buffers
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual int64_t scratch_bytes() const { return 0; }
  virtual int64_t state_bytes() const { return 0; }
  virtual void forward(Stream& stream, const Io& io) = 0;
  /// Only called on kernels made for training.
  virtual void backward(Stream& stream, const Io& io, const Grads& grads) = 0;
};

/// What a kernel is made from.
struct KernelSpec {
  const Op& op;
  std::vector<Shape> inputs;
  Shape output;
  std::vector<Shape> parameters;
  bool training = false;
  Stream& stream;
  Communicator& communicator;  // for statistics over all ranks; outlives the kernel
  uint64_t node_key = 0;       // differs for every node of a graph: the "layer" of random draws
  /// Of inputs, output and their gradients (a cast's input: the other one). Parameters, their gradients and
  /// all sums are f32.
  DType dtype = DType::f32;
};

using KernelFactory = std::function<std::unique_ptr<Kernel>(const KernelSpec&)>;

/// Kernels by "device/op": "cpu/conv2d". A missing one is an error when a program is compiled.
Registry<KernelFactory>& kernel_registry();

namespace detail {
[[noreturn]] inline void fail_no_kernel(const char* device, const char* type, DType dtype) {
  fail("no ", device, " kernel for op '", type, "' in ", dtype_text(dtype));
}

/// A kernel for f32 alone.
template <class K, class O>
bool register_kernel(const char* device, const char* type) {
  const auto make = [device, type](const KernelSpec& spec) -> std::unique_ptr<Kernel> {
    if (spec.dtype != DType::f32) fail_no_kernel(device, type, spec.dtype);
    return std::make_unique<K>(static_cast<const O&>(spec.op), spec);
  };
  return kernel_registry().add(std::string(device) + "/" + type, make, type);
}

/// A kernel by type of storage: K<float>, K<BFloat16>.
template <template <class T> class K, class O>
bool register_kernel(const char* device, const char* type) {
  const auto make = [device, type](const KernelSpec& spec) -> std::unique_ptr<Kernel> {
    const O& op = static_cast<const O&>(spec.op);
    if (spec.dtype == DType::bf16) return std::make_unique<K<BFloat16>>(op, spec);
    if (spec.dtype != DType::f32) fail_no_kernel(device, type, spec.dtype);
    return std::make_unique<K<float>>(op, spec);
  };
  return kernel_registry().add(std::string(device) + "/" + type, make, type);
}
}  // namespace detail

}  // namespace kindred

/// At the foot of a kernel file: KINDRED_KERNEL(cpu, "conv2d", Conv2d, Conv2dCpu). K(const O&, const
/// KernelSpec&); a class, or a template over the type of storage.
#define KINDRED_KERNEL(device, name, O, K)                               \
  [[maybe_unused]] static const bool kindred_registered_##device##_##K = \
      ::kindred::detail::register_kernel<K, O>(#device, name)
