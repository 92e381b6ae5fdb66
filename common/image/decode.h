// Bytes of a file to an Image: JPEG, PNG and WebP, told apart by content; EXIF orientation is always applied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/image/image.h"

namespace kindred {

/// Checked from the header before anything is decoded.
struct DecodeLimits {
  int64_t max_pixels = 40'000'000;
  int max_side = 12'000;
  /// JPEG only: decode at 1/2, 1/4 or 1/8 when the short side stays at least this long; 0: full size.
  int min_short_side = 0;
};

/// Grey, CMYK, palette, 16-bit and transparent pictures become RGB (transparency over white).
/// Throws Error "name: reason" for anything that is not a complete picture within the limits. Hostile bytes
/// are safe.
Image decode_image(std::string_view bytes, std::string_view name, const DecodeLimits& limits = {});

/// Reads and decodes a file. Throws Error.
Image load_image(const std::string& path, const DecodeLimits& limits = {});

/// JPEG bytes of a picture; quality 1 to 100.
std::string encode_jpeg(const Image& image, int quality);

std::string encode_png(const Image& image);

}  // namespace kindred
