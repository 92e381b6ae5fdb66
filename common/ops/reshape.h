// The same elements under another shape. A copy: meant for small tensors such as pooled features.
#pragma once

#include <memory>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

struct Reshape final : Op {
  explicit Reshape(Shape s) : shape(s) {}
  Shape shape;

  std::string_view type() const override { return "reshape"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    if (inputs[0].elements() != shape.elements())
      fail_shapes(type(), kindred::concat("as many elements as ", shape.text(), " has"), inputs);
    return shape;
  }
};

inline Value reshape(Graph& graph, Value x, const Shape& shape) {
  return graph.apply(std::make_shared<Reshape>(shape), {x});
}

/// [N, ...] -> [N, rest]
inline Value flatten(Graph& graph, Value x) {
  const Shape& shape = graph.shape(x);
  if (shape.rank() == 2) return x;
  return reshape(graph, x, {shape[0], shape.elements() / shape[0]});
}

}  // namespace kindred
