// Four neighbouring pixels become one with four times the channels: the first half of Swin's patch merging.
// Source: Liu et al., "Swin Transformer", ICCV 2021; the order of the four is that of its public code.
#pragma once

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// images [N,H,W,C] -> [N, ceil(H/2), ceil(W/2), 4C]: the pixels (0,0), (1,0), (0,1), (1,1) as (row, column)
/// of every 2x2 square, one behind the other; zeros beyond an odd border.
struct PatchMerge final : Op {
  std::string_view type() const override { return "patch_merge"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_images(type(), inputs);
    const Shape& x = inputs[0];
    return {x[0], (x[1] + 1) / 2, (x[2] + 1) / 2, 4 * x[3]};
  }
};

Value patch_merge(Graph& graph, Value images);

}  // namespace kindred
