// A value in another type of storage: what stands where f32 and bf16 meet in a graph.
#pragma once

#include "common/engine/op.h"

namespace kindred {

/// x [...] in one of f32 and bf16 -> the same in the other, rounded to the nearest, ties to even. Backward
/// reads nothing.
struct Cast final : Op {
  std::string_view type() const override { return "cast"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
};

}  // namespace kindred
