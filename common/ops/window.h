// A window that slides over height and width: what convolutions and pools have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/tensor.h"

namespace kindred {

struct Window {
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int top = 0, left = 0, bottom = 0, right = 0;  // padding

  /// Square, padded by kernel - 1 in all, the smaller half before: what networks call "same". At stride 1 the
  /// output is as large as the input, at stride 2 half of it, rounded up.
  static Window same(int kernel, int stride = 1) {
    const int before = (kernel - 1) / 2, after = kernel / 2;
    return {kernel, kernel, stride, stride, before, before, after, after};
  }
  /// Square, without padding.
  static Window valid(int kernel, int stride = 1) { return {kernel, kernel, stride, stride, 0, 0, 0, 0}; }

  int64_t taps() const { return int64_t{kernel_h} * kernel_w; }
  /// How often the window fits: rounded down.
  int64_t output_height(int64_t height) const { return (height + top + bottom - kernel_h) / stride_h + 1; }
  int64_t output_width(int64_t width) const { return (width + left + right - kernel_w) / stride_w + 1; }
  /// One tap, stride 1, no padding: a matrix product over pixels.
  bool pointwise() const { return *this == Window{}; }
  bool operator==(const Window&) const = default;

  /// "k=3x3 s=2x2 p=1,1,1,1" (top, left, bottom, right)
  std::string text() const;
};

/// [N, oh, ow, channels] for images [N,H,W,C]. Throws Error when the window is malformed or larger than the
/// padded image.
Shape windowed_shape(std::string_view op, const Window& window, std::span<const Shape> inputs,
                     int64_t channels);

}  // namespace kindred
