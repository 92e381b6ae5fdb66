// Joins tensors along the channels.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// inputs [..., C_i], equal but for the last dimension -> [..., sum of C_i].
struct Concat final : Op {
  std::string_view type() const override { return "concat"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    Shape out = inputs[0];
    for (const Shape& shape : inputs.subspan(1)) {
      Shape like = inputs[0];
      if (shape.rank() == like.rank()) like[-1] = shape[-1];
      if (shape != like) fail_shapes(type(), "inputs that differ in the last dimension only", inputs);
      out[-1] += shape[-1];
    }
    return out;
  }
};

/// Requires: at least one part; a single one is returned as it is.
inline Value concat_channels(Graph& graph, std::vector<Value> parts) {
  KINDRED_ASSERT(!parts.empty());
  if (parts.size() == 1) return parts[0];
  return graph.apply(std::make_shared<Concat>(), std::move(parts));
}

}  // namespace kindred
