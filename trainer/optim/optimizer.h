// Optimisers work on the flat buffers: one launch for all parameters. Decay never touches norms, and biases
// only when asked to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/options.h"
#include "common/base/registry.h"
#include "common/engine/communicator.h"
#include "common/engine/parameters.h"

namespace kindred {

/// A slot that follows a sharded parameter: of its shape, this rank's part.
struct ShardSlot {
  std::string name;
  Param param;
  Tensor tensor;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Reads parameters.gradients() times `gradient_scale` (clipping), writes values, calls touch(). Every
  /// parameter takes part in every step, but of sharded ones only the rows of row_gradients: the others keep
  /// value, momentum and moments, and decay waits for them too (as in PyTorch's SparseAdam and TensorFlow's
  /// LazyAdam; moments are corrected for the steps of the run, not of the row). Throws Error when the rate or
  /// the scale is not finite.
  virtual void step(Stream& stream, double learning_rate, double gradient_scale) = 0;
  /// Named flat f32 tensors (momentum, ...) and a step count: all that a checkpoint must hold.
  virtual std::vector<std::pair<std::string, Tensor>> slots() = 0;
  virtual std::vector<ShardSlot> shard_slots() = 0;
  virtual int64_t steps_done() const = 0;
  virtual void set_steps_done(int64_t steps) = 0;
};

struct OptimizerEntry {
  std::function<void(Options&)> declare;  // "sgd.momentum"
  std::function<std::unique_ptr<Optimizer>(const Options&, ParameterSet&, Stream&)> make;
};
/// The optimisers of this build for a kind of device.
Registry<OptimizerEntry>& optimizer_registry(Device::Type device = Device::cpu);

/// sqrt(sum of squares) of the flat gradients and the row gradients of all ranks, the flat ones summed in
/// double in an order that depends on their count alone. Collective; waits for the stream.
double gradient_norm(Stream& stream, Communicator& communicator, const ParameterSet& parameters);

}  // namespace kindred

/// At the foot of an optimiser's file, a single-source one. O has `static void declare(Options&)` and
/// O(const Options&, ParameterSet&, Stream&).
#define KINDRED_OPTIMIZER(name, O, help)                                                   \
  [[maybe_unused]] static const bool kindred_registered_##O =                              \
      ::kindred::optimizer_registry(::kindred::Device::KINDRED_LAUNCH_DEVICE)              \
          .add(name,                                                                       \
               {&O::declare,                                                               \
                [](const ::kindred::Options& options, ::kindred::ParameterSet& parameters, \
                   ::kindred::Stream& stream) -> std::unique_ptr<::kindred::Optimizer> {   \
                  return std::make_unique<O>(options, parameters, stream);                 \
                }},                                                                        \
               help)
