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

double gradient_norm(Stream& stream, Communicator& communicator, const ParameterSet& parameters) {
  const SquareSumFn& square_sum =
      square_sum_registry().get(stream.device().type == Device::cuda ? "cuda" : "cpu").make;
  const Tensor gradients = parameters.gradients();
  double squares = square_sum(stream, gradients.f32(), gradients.elements());
  const std::vector<Param> sharded = parameters.sharded();
  if (sharded.empty()) return std::sqrt(squares);

  double own = 0;
  for (const Param param : sharded) {
    const RowGradients& rows = parameters.row_gradients(param);
    if (rows.rows) own += square_sum(stream, rows.values.f32(), rows.values.elements());
  }
  // All that the tensors must do is carry the eight bytes of a double.
  const Tensor mine = make_tensor(stream, {1}, DType::i64);
  const Tensor all = make_tensor(stream, {communicator.size()}, DType::i64);
  stream.copy(mine.raw(), &own, mine.bytes());
  communicator.all_gather(stream, mine, all);
  std::vector<double> of_ranks(static_cast<size_t>(communicator.size()));
  stream.copy(of_ranks.data(), all.raw(), all.bytes());
  stream.wait();
  for (const double part : of_ranks) squares += part;
  return std::sqrt(squares);
}

}  // namespace kindred
