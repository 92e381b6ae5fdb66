#include "common/ops/layer_norm.h"

#include <memory>

namespace kindred {

Value layer_norm(Graph& graph, Value x, std::string_view name) {
  const auto scope = graph.scope(name);
  const int64_t channels = graph.shape(x)[-1];
  const Param weight = graph.parameter("weight", {channels}, Init::value(1), ParamLayout::plain, false);
  const Param bias = graph.parameter("bias", {channels}, Init::value(0), ParamLayout::plain, false);
  return graph.apply(std::make_shared<LayerNorm>(), {x}, {weight, bias});
}

}  // namespace kindred
