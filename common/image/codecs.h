// The picture formats behind decode_image, one file each. Internal to common/image.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/image/decode.h"

namespace kindred {

/// Each decodes one format into RGB, or RGB and alpha where the file has an alpha channel or colour, as
/// stored, with the EXIF orientation already applied. `name` stands in front of error messages. Throws Error.
Image decode_jpeg(std::string_view bytes, std::string_view name, const DecodeLimits& limits);
Image decode_png(std::string_view bytes, std::string_view name, const DecodeLimits& limits);
Image decode_webp(std::string_view bytes, std::string_view name, const DecodeLimits& limits);

/// Throws Error when a header promises a picture that is empty or larger than the limits.
void check_limits(int64_t width, int64_t height, std::string_view name, const DecodeLimits& limits);

}  // namespace kindred
