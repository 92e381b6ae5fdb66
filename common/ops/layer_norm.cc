#include "common/ops/layer_norm.h"

#include <memory>

namespace kindred {

Value layer_norm(Graph& graph, Value x, std::string_view name) {
  const auto scope = graph.scope(name);
  const int64_t channels = graph.shape(x)[-1];
  const auto parameter = [&](const char* own_name, double start) {
    return graph.declare({.name = own_name,
                          .file_shape = {channels},
                          .shape = {},
                          .init = Init::value(start),
                          .decay = false,
                          .exempt = true});
  };
  const Param weight = parameter("weight", 1), bias = parameter("bias", 0);
  return graph.apply(std::make_shared<LayerNorm>(), {x}, {weight, bias});
}

}  // namespace kindred
