// "Learnable affine block": y = scale x + bias with two learnable numbers for the whole tensor.
// Source: Cui et al., PP-HGNetV2 (PaddleClas); there the two learn at 0.01 of the learning rate.
#pragma once

#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// The two numbers, named "scale" and "bias" under the scope `name`, 1 and 0 at first.
struct AffineParams {
  Param scale, bias;
};
AffineParams affine_params(Graph& graph, std::string_view name, double lr_scale);

/// Any shape; parameters scale [1], bias [1]. Backward reads x.
struct Affine final : Op {
  std::string_view type() const override { return "affine"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    return inputs[0];
  }
  Saved saved() const override { return {.inputs = 1}; }
};

Value affine(Graph& graph, Value x, std::string_view name, double lr_scale = 1);

}  // namespace kindred
