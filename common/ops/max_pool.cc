#include "common/ops/max_pool.h"

#include <algorithm>
#include <memory>

#include "common/ops/shape_rules.h"

namespace kindred {

Shape MaxPool::output_shape(std::span<const Shape> inputs) const {
  expect_images(type(), inputs);
  const Shape out = windowed_shape(type(), window, inputs, inputs[0][3]);
  if (std::max(window.top, window.bottom) >= window.kernel_h ||
      std::max(window.left, window.right) >= window.kernel_w)
    fail_shapes(type(), concat("padding below the kernel, not ", window.text()), inputs);
  if (window.taps() > kMostTaps)
    fail_shapes(type(), concat("a window of at most ", kMostTaps, " taps"), inputs);
  return out;
}

Value max_pool(Graph& graph, Value images, const Window& window, PoolPadding padding) {
  auto op = std::make_shared<MaxPool>();
  op->window = window;
  op->padding = padding;
  return graph.apply(std::move(op), {images});
}

}  // namespace kindred
