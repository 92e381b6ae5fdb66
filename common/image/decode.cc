#include "common/image/decode.h"

#include <algorithm>

#include "common/base/error.h"
#include "common/image/codecs.h"
#include "common/io/file.h"

namespace kindred {
namespace {

constexpr std::string_view kJpegStart("\xff\xd8\xff", 3), kPngStart("\x89PNG\r\n\x1a\n", 8);
constexpr int64_t kMaxFileBytes = int64_t{1} << 28;

}  // namespace

void check_limits(int64_t width, int64_t height, std::string_view name, const DecodeLimits& limits) {
  if (width < 1 || height < 1) fail(name, ": an empty picture of ", width, " x ", height, " pixels");
  if (width > limits.max_side || height > limits.max_side) {
    fail(name, ": ", width, " x ", height, " pixels; a side may have at most ", limits.max_side);
  }
  if (width * height > limits.max_pixels) {
    fail(name, ": ", width, " x ", height, " = ", width * height, " pixels; at most ", limits.max_pixels,
         " are allowed");
  }
}

namespace {

Image decode_as_stored(std::string_view bytes, std::string_view name, const DecodeLimits& limits) {
  if (bytes.empty()) fail(name, ": the file is empty; expected a JPEG, PNG or WebP picture");
  if (bytes.starts_with(kJpegStart)) return decode_jpeg(bytes, name, limits);
  if (bytes.starts_with(kPngStart)) return decode_png(bytes, name, limits);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") {
    return decode_webp(bytes, name, limits);
  }
  fail(name, ": not a JPEG, PNG or WebP picture");
}

uint8_t over_white(int level, int alpha) {
  return static_cast<uint8_t>((level * alpha + 255 * (255 - alpha) + 127) / 255);
}

/// Luma of ITU-R BT.601, rounded as Pillow does it.
uint8_t grey_of(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16);
}

/// From RGB or RGBA.
Image with_channels(Image image, int channels) {
  KINDRED_ASSERT(channels >= 1 && channels <= 4);
  if (image.channels == channels) return image;
  Image out = make_image(image.width, image.height, channels);
  const uint8_t* from = image.pixels.data();
  uint8_t* to = out.pixels.data();
  for (; to < out.pixels.data() + out.pixels.size(); from += image.channels, to += channels) {
    const int alpha = image.has_alpha() ? from[3] : 255;
    uint8_t rgb[3];
    for (int c = 0; c < 3; ++c) rgb[c] = out.has_alpha() ? from[c] : over_white(from[c], alpha);
    if (channels >= 3) {
      std::copy_n(rgb, 3, to);
    } else {
      to[0] = grey_of(rgb);
    }
    if (out.has_alpha()) to[channels - 1] = static_cast<uint8_t>(alpha);
  }
  return out;
}

}  // namespace

Image make_image(int width, int height, int channels) {
  Image image{width, height, {}, channels};
  image.pixels.resize(image.row_bytes() * static_cast<size_t>(height));
  return image;
}

Image decode_image(std::string_view bytes, std::string_view name, const DecodeLimits& limits, int channels) {
  return with_channels(decode_as_stored(bytes, name, limits), channels);
}

Image load_image(const std::string& path, const DecodeLimits& limits, int channels) {
  return decode_image(read_file(path, kMaxFileBytes), path, limits, channels);
}

}  // namespace kindred
