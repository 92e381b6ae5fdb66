// Rows of unit length: y = x / max(|x|, eps).
#pragma once

#include <memory>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// x [...,C] -> same shape. Backward: dx = (g - (g . y) y) / |x|, or g / eps where the length was below eps.
struct L2Normalize final : Op {
  static constexpr float kEps = 1e-12f;

  std::string_view type() const override { return "l2_normalize"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    return inputs[0];
  }
  Saved saved() const override { return {.inputs = 1}; }
};

inline Value l2_normalize(Graph& graph, Value x) { return graph.apply(std::make_shared<L2Normalize>(), {x}); }

}  // namespace kindred
