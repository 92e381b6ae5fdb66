// Pictures in memory: 8 bits a channel, row-major, no padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kindred {

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // height * width * channels
  int channels = 3;             // 1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha

  bool has_alpha() const { return channels % 2 == 0; }
  size_t row_bytes() const { return static_cast<size_t>(width) * static_cast<size_t>(channels); }
  const uint8_t* row(int y) const { return pixels.data() + static_cast<size_t>(y) * row_bytes(); }
  uint8_t* row(int y) { return pixels.data() + static_cast<size_t>(y) * row_bytes(); }
};

/// A black (and, with alpha, transparent) picture of that size.
Image make_image(int width, int height, int channels = 3);

}  // namespace kindred
