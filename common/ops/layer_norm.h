// Layer normalisation over the last dimension.
// Source: Ba, Kiros, Hinton, "Layer Normalization", 2016.
#pragma once

#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// x [...,C] -> same shape: gamma (x - mean) / sqrt(var + eps) + beta with each row's own mean and (biased)
/// variance. Parameters: weight [C], bias [C]. Backward reads x.
struct LayerNorm final : Op {
  double eps = 1e-5;

  std::string_view type() const override { return "layer_norm"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    return inputs[0];
  }
  Saved saved() const override { return {.inputs = 1}; }
};

/// Declares weight (1) and bias (0), both without decay, under the scope `name`.
Value layer_norm(Graph& graph, Value x, std::string_view name);

}  // namespace kindred
