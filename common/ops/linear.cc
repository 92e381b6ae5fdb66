#include "common/ops/linear.h"

#include <cmath>
#include <memory>

namespace kindred {

Value linear(Graph& graph, Value x, const LinearSpec& spec, std::string_view name) {
  auto op = std::make_shared<Linear>();
  op->outputs = spec.outputs;
  op->bias = spec.bias;
  const auto scope = graph.scope(name);
  const int64_t inputs = graph.shape(x)[-1];
  const Init xavier = Init::uniform_bound(std::sqrt(6.0 / static_cast<double>(inputs + spec.outputs)));
  std::vector<Param> params{graph.parameter("weight", {spec.outputs, inputs}, spec.init.value_or(xavier),
                                            ParamLayout::plain, true, spec.lr_scale)};
  if (spec.bias) {
    const Init zero = Init::value(0);
    params.push_back(graph.parameter("bias", {spec.outputs}, zero, ParamLayout::plain, false, spec.lr_scale));
  }
  return graph.apply(std::move(op), {x}, std::move(params));
}

}  // namespace kindred
