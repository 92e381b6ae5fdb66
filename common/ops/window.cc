#include "common/ops/window.h"

#include <algorithm>

#include "common/ops/shape_rules.h"

namespace kindred {

std::string Window::text() const {
  return concat("k=", kernel_h, "x", kernel_w, " s=", stride_h, "x", stride_w, " p=", top, ",", left, ",",
                bottom, ",", right);
}

Shape windowed_shape(std::string_view op, const Window& window, std::span<const Shape> inputs,
                     int64_t channels) {
  expect_images(op, inputs);
  const Shape& x = inputs[0];
  const bool well_formed =
      std::min({window.kernel_h, window.kernel_w, window.stride_h, window.stride_w}) >= 1 &&
      std::min({window.top, window.left, window.bottom, window.right}) >= 0;
  if (!well_formed || x[1] + window.top + window.bottom < window.kernel_h ||
      x[2] + window.left + window.right < window.kernel_w)
    fail_shapes(op, concat("images at least as large as the window ", window.text()), inputs);
  return {x[0], window.output_height(x[1]), window.output_width(x[2]), channels};
}

}  // namespace kindred
