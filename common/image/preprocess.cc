#include "common/image/preprocess.h"

#include <algorithm>
#include <cstring>  // memcpy

#include "common/base/error.h"
#include "common/image/resize.h"

namespace kindred {
namespace {

/// The middle part of a line, rounded as torchvision does (half to even).
Window middle(int line, int size) {
  const int twice = line - size;
  return {twice / 2 + (twice % 4 == 3 ? 1 : 0), size};
}

}  // namespace

Image crop(const Image& image, int x, int y, int width, int height) {
  KINDRED_ASSERT(x >= 0 && y >= 0 && width >= 1 && height >= 1);
  KINDRED_ASSERT(x + width <= image.width && y + height <= image.height);
  Image out = make_image(width, height, image.channels);
  for (int row = 0; row < height; ++row)
    std::memcpy(out.row(row), image.row(y + row) + image.channels * x, out.row_bytes());
  return out;
}

void normalize(const Image& image, const ImageSpec& spec, float* out) {
  KINDRED_ASSERT(image.channels == spec.channels);
  const auto channels = static_cast<size_t>(spec.channels);
  float table[kMaxChannels][256];  // so that every pixel gets the exactly rounded quotient
  for (size_t c = 0; c < channels; ++c) {
    for (int level = 0; level < 256; ++level) {
      table[c][level] = (static_cast<float>(level) / 255.0f - spec.mean[c]) / spec.std[c];
    }
  }
  const uint8_t* in = image.pixels.data();
  for (size_t i = 0; i < image.pixels.size(); i += channels) {
    for (size_t c = 0; c < channels; ++c) out[i + c] = table[c][in[i + c]];
  }
}

Image fit(const Image& image, const ImageSpec& spec) {
  if (spec.resize == ResizeMode::stretch) return resize(image, spec.width, spec.height, spec.interpolation);
  // The long side rounds down, as torchvision's Resize does.
  KINDRED_ASSERT(spec.resize_short >= std::max(spec.width, spec.height));
  const int short_side = std::min(image.width, image.height);
  const auto scaled = [&](int side) {
    return static_cast<int>(int64_t{spec.resize_short} * side / short_side);
  };
  const int width = scaled(image.width), height = scaled(image.height);
  return resize_window(image, width, height, middle(width, spec.width), middle(height, spec.height),
                       spec.interpolation);
}

void preprocess(const Image& image, const ImageSpec& spec, float* out) {
  normalize(fit(image, spec), spec, out);
}

}  // namespace kindred
