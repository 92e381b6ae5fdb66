// Attention inside windows of an image, with a learnable bias by relative position; shifted windows see each
// other's borders only where they are neighbours in the image. Source: Liu et al., "Swin Transformer", ICCV
// 2021, section 3.2; maps that windows do not divide as timm has them.
#pragma once

#include <string>
#include <string_view>

#include "common/engine/graph.h"

namespace kindred {

/// qkv [N,H,W,3C], channels ordered [q | k | v][head][C/heads] -> [N,H,W,C]. Per window and head:
/// softmax(q k^T / sqrt(C/heads) + bias by relative position - 100 between unlike regions) v.
/// The map is rolled by -shift and then padded at the bottom and the right to whole windows; a padding pixel
/// enters as the projection of zeros, that is as qkv_bias. Backward reads qkv. Parameters: table [(2 window_h
/// - 1)(2 window_w - 1), heads], qkv_bias [3C] (of the projection before).
struct WindowAttention : Op {
  int heads = 1;
  int window_h = 7, window_w = 7;
  int shift_h = 0, shift_w = 0;

  std::string_view type() const override { return "window_attention"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  Saved saved() const override { return {.inputs = 1}; }
  int64_t macs(std::span<const Shape> inputs) const override;
  std::string attributes() const override;
};

/// Declares "relative_position_bias_table" (truncated normal, 0.02, without decay) under the current scope.
Value window_attention(Graph& graph, Value qkv, Param qkv_bias, const WindowAttention& attributes);

}  // namespace kindred
