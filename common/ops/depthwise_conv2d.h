// Depthwise convolution, NHWC: each channel has a window of its own. Channels are the vector.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/conv_tail.h"
#include "common/ops/window.h"

namespace kindred {

/// images [N,H,W,C], weight [C, 1, kh, kw] ([kh, kw, C] in memory), bias [C] -> [N,oh,ow,C]. Backward reads
/// images. Parameters in order: weight, bias if any, the tail's. A residual is input 1.
struct DepthwiseConv2d final : Op {
  Window window;
  bool bias = false;
  ConvTail tail;  // inference only

  std::string_view type() const override { return "depthwise_conv2d"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  Saved saved() const override { return {.inputs = 1}; }
  int64_t macs(std::span<const Shape> inputs) const override;
  std::string attributes() const override;
  std::shared_ptr<const Op> fused_with(const Op& next, int input) const override;
};

struct DepthwiseConv2dSpec {
  Window window;
  bool bias = false;
  std::optional<Init> init = {};  // of the weight; unset: Kaiming normal, fan in = taps
  double lr_scale = 1;
};

/// Declares "weight" (and "bias", zero at first, without decay) under the scope `name`.
Value depthwise_conv2d(Graph& graph, Value images, const DepthwiseConv2dSpec& spec, std::string_view name);

}  // namespace kindred
