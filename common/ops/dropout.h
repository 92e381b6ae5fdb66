// Zeroes elements at random in training. Draws are keyed by (seed, step, node, global row), so that they do
// not depend on how a batch is divided over ranks. Source: Srivastava et al., "Dropout", JMLR 2014; the two
// conventions of scaling are Paddle's.
#pragma once

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// Where the loss of mass is made good: survivors grow by 1 / (1 - rate) in training, or everything shrinks
/// by 1 - rate in inference.
enum class DropoutScale : uint8_t { upscale_in_train, downscale_in_infer };
std::string_view dropout_scale_text(DropoutScale scale);
/// Throws Error on any other text.
DropoutScale parse_dropout_scale(std::string_view text);

/// x [N, ...] -> same shape. Backward draws again and reads nothing.
struct Dropout final : Op {
  double rate = 0;
  DropoutScale scale = DropoutScale::upscale_in_train;

  std::string_view type() const override { return "dropout"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    return inputs[0];
  }
  std::string attributes() const override {
    return kindred::concat("rate=", rate, " ", dropout_scale_text(scale));
  }
};

/// Throws Error unless 0 <= rate < 1. A rate of 0 returns x.
Value dropout(Graph& graph, Value x, double rate, DropoutScale scale = DropoutScale::upscale_in_train);

}  // namespace kindred
