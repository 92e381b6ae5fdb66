#include "trainer/optim/optimizer.h"

#include <cmath>

#include "trainer/optim/flat_update.h"

namespace kindred {

Registry<OptimizerEntry>& optimizer_registry(Device::Type device) {
  static Registry<OptimizerEntry> cpu("optimizer"), cuda("optimizer for cuda");
  return device == Device::cuda ? cuda : cpu;
}

Registry<SquareSumFn>& square_sum_registry() {
  static Registry<SquareSumFn> registry("device for square_sum");
  return registry;
}

double gradient_norm(Stream& stream, const ParameterSet& parameters) {
  const Tensor gradients = parameters.gradients();
  const char* const device = stream.device().type == Device::cuda ? "cuda" : "cpu";
  return std::sqrt(square_sum_registry().get(device).make(stream, gradients.f32(), gradients.elements()));
}

}  // namespace kindred
