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

/// Grey, CMYK, palette and 16-bit pictures become 8-bit ones of `channels` channels (1: grey, 2: grey and
/// alpha, 3: RGB, 4: RGB and alpha). Transparency is laid over white where there is no alpha to hold it; what
/// has none is opaque. Requires: channels 1 to 4.
/// Throws Error "name: reason" for anything that is not a complete picture within the limits. Hostile bytes
/// are safe.
Image decode_image(std::string_view bytes, std::string_view name, const DecodeLimits& limits = {},
                   int channels = 3);

/// Reads and decodes a file. Throws Error.
Image load_image(const std::string& path, const DecodeLimits& limits = {}, int channels = 3);

/// JPEG bytes of an RGB picture; quality 1 to 100.
std::string encode_jpeg(const Image& image, int quality);

/// Of any number of channels.
std::string encode_png(const Image& image);

}  // namespace kindred
