#include "common/ops/affine.h"

#include <memory>

namespace kindred {

AffineParams affine_params(Graph& graph, std::string_view name, double lr_scale) {
  const auto scope = graph.scope(name);
  const Param scale = graph.parameter("scale", {1}, Init::value(1), ParamLayout::plain, false, lr_scale);
  const Param bias = graph.parameter("bias", {1}, Init::value(0), ParamLayout::plain, false, lr_scale);
  return {scale, bias};
}

Value affine(Graph& graph, Value x, std::string_view name, double lr_scale) {
  const AffineParams params = affine_params(graph, name, lr_scale);
  const auto scope = graph.scope(name);
  return graph.apply(std::make_shared<Affine>(), {x}, {params.scale, params.bias});
}

}  // namespace kindred
