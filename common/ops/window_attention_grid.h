// Where the tokens of attention windows come from: shared by the kernels of window_attention.
#pragma once

#include <cstdint>

#include "common/engine/launch.h"
#include "common/ops/window_attention.h"

namespace kindred {

/// The windows of one image, row by row, over the rolled and padded map.
struct WindowGrid {
  int height, width;  // of the map
  int window_h, window_w;
  int shift_h, shift_w;
  int down, across, windows;  // of an image
  int tokens;                 // of a window
  int table_entries;

  WindowGrid(const WindowAttention& op, const Shape& map)
      : height(static_cast<int>(map[1])),
        width(static_cast<int>(map[2])),
        window_h(op.window_h),
        window_w(op.window_w),
        shift_h(op.shift_h),
        shift_w(op.shift_w),
        down((height + window_h - 1) / window_h),
        across((width + window_w - 1) / window_w),
        windows(down * across),
        tokens(window_h * window_w),
        table_entries((2 * window_h - 1) * (2 * window_w - 1)) {}

  bool padded() const { return down * window_h != height || across * window_w != width; }
  bool shifted() const { return shift_h > 0 || shift_w > 0; }

  /// The pixel of the map that a token is, or -1 for padding.
  KINDRED_DEV int pixel(int window, int token) const {
    const int y = window / across * window_h + token / window_w,
              x = window % across * window_w + token % window_w;
    if (y >= height || x >= width) return -1;
    return (y + shift_h) % height * width + (x + shift_w) % width;
  }

  /// Tokens of one window attend to each other freely when they have the same number.
  KINDRED_DEV int region(int window, int token) const {
    return 3 * band(window / across * window_h + token / window_w, down * window_h, window_h, shift_h) +
           band(window % across * window_w + token % window_w, across * window_w, window_w, shift_w);
  }

  /// The row of the bias table for query `i` and key `j`.
  KINDRED_DEV int entry(int i, int j) const {
    return (i / window_w - j / window_w + window_h - 1) * (2 * window_w - 1) + i % window_w - j % window_w +
           window_w - 1;
  }

 private:
  KINDRED_DEV static int band(int at, int size, int window, int shift) {
    return at < size - window ? 0 : at < size - shift ? 1 : 2;
  }
};

/// Added to the score of two tokens that are no neighbours in the image.
constexpr float kWindowMask = -100;

}  // namespace kindred
