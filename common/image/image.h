// Pictures in memory: 8-bit RGB, row-major, no padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kindred {

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;  // height * width * 3

  const uint8_t* row(int y) const {
    return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3;
  }
  uint8_t* row(int y) { return rgb.data() + static_cast<size_t>(y) * static_cast<size_t>(width) * 3; }
};

}  // namespace kindred
