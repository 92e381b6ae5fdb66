// Scales every channel of every image by a number of its own: the last step of squeeze and excitation.
#pragma once

#include <memory>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// images [N,H,W,C], gate [N,C] or [N,1,1,C] -> [N,H,W,C]. Backward reads both.
struct ChannelGate final : Op {
  std::string_view type() const override { return "channel_gate"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_images(type(), inputs);
    const Shape& x = inputs[0];
    if (inputs[1] != Shape{x[0], x[3]} && inputs[1] != Shape{x[0], 1, 1, x[3]})
      fail_shapes(type(), "images [N,H,W,C] and a gate [N,C] or [N,1,1,C]", inputs);
    return x;
  }
  Saved saved() const override { return {.inputs = 3}; }
};

inline Value channel_gate(Graph& graph, Value images, Value gate) {
  return graph.apply(std::make_shared<ChannelGate>(), {images, gate});
}

}  // namespace kindred
