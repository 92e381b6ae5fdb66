// The small pictures of tests/fuzz/corpus/image, and what is in them.
#pragma once

#include <array>
#include <string>

#include "common/image/image.h"
#include "common/io/file.h"

namespace kindred {

inline std::string test_picture(const std::string& name) {
  return read_file(std::string(KINDRED_SOURCE_DIR) + "/tests/fuzz/corpus/image/" + name);
}

using Colour = std::array<int, 3>;

/// Colours in the middle of the four quarters: top left, top right, bottom left, bottom right.
inline std::array<Colour, 4> quarters(const Image& image) {
  std::array<Colour, 4> out;
  for (int i = 0; i < 4; ++i) {
    const int x = (i % 2 * 2 + 1) * image.width / 4, y = (i / 2 * 2 + 1) * image.height / 4;
    for (int c = 0; c < 3; ++c) out[static_cast<size_t>(i)][static_cast<size_t>(c)] = image.row(y)[3 * x + c];
  }
  return out;
}

}  // namespace kindred
