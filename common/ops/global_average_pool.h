// Mean over height and width.
#pragma once

#include <memory>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// images [N,H,W,C] -> [N,C], or [N,1,1,C] when `map` is set (for convolutions on the pooled map).
struct GlobalAveragePool final : Op {
  explicit GlobalAveragePool(bool keep_map) : map(keep_map) {}
  bool map;

  std::string_view type() const override { return "global_average_pool"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_images(type(), inputs);
    const Shape& x = inputs[0];
    return map ? Shape{x[0], 1, 1, x[3]} : Shape{x[0], x[3]};
  }
};

inline Value global_average_pool(Graph& graph, Value images, bool map = false) {
  return graph.apply(std::make_shared<GlobalAveragePool>(map), {images});
}

}  // namespace kindred
