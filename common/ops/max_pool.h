// Maximum over a sliding window.
#pragma once

#include "common/engine/graph.h"
#include "common/ops/window.h"

namespace kindred {

/// What lies beyond the border: nothing (Paddle, torch), or zeros that may win (timm pads HGNetV2's stem by
/// hand).
enum class PoolPadding : uint8_t { lowest, zero };

/// images [N,H,W,C] -> [N,oh,ow,C]. Of equal values the first in row-major order wins and gets the gradient.
/// Requires: padding below the kernel, so that no window lies outside the image, and
/// at most kMostTaps taps. Backward reads neither.
struct MaxPool final : Op {
  static constexpr int kMostTaps = 255;

  Window window;
  PoolPadding padding = PoolPadding::lowest;

  std::string_view type() const override { return "max_pool"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  std::string attributes() const override {
    return window.text() + (padding == PoolPadding::zero ? " pad=0" : "");
  }
};

Value max_pool(Graph& graph, Value images, const Window& window, PoolPadding padding = PoolPadding::lowest);

}  // namespace kindred
