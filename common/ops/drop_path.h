// A residual sum that leaves out the branch of some samples in training ("stochastic depth").
// Source: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016; scaled as timm's DropPath is.
#pragma once

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// identity [N,...], branch [N,...] -> identity + keep(n) / (1 - rate) branch, with keep(n) 0 for a share
/// `rate` of the samples. Draws are keyed by (seed, step, node, global row). In inference it is a plain sum.
struct DropPath final : Op {
  double rate = 0;

  std::string_view type() const override { return "drop_path"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    if (!(inputs[0] == inputs[1])) fail_shapes(type(), "an identity and a branch of one shape", inputs);
    return inputs[0];
  }
  std::string attributes() const override { return concat("rate=", rate); }
};

/// Throws Error unless 0 <= rate < 1. A rate of 0 gives a plain add.
Value drop_path(Graph& graph, Value identity, Value branch, double rate);

}  // namespace kindred
