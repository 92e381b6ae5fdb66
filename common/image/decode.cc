#include "common/image/decode.h"

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

Image make_image(int width, int height) {
  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  return image;
}

void blend_over_white(const uint8_t* rgba, uint8_t* rgb, int64_t pixels) {
  for (int64_t i = 0; i < pixels; ++i, rgba += 4, rgb += 3) {
    const int alpha = rgba[3], white = 255 * (255 - alpha) + 127;
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<uint8_t>((rgba[c] * alpha + white) / 255);
  }
}

Image decode_image(std::string_view bytes, std::string_view name, const DecodeLimits& limits) {
  if (bytes.empty()) fail(name, ": the file is empty; expected a JPEG, PNG or WebP picture");
  if (bytes.starts_with(kJpegStart)) return decode_jpeg(bytes, name, limits);
  if (bytes.starts_with(kPngStart)) return decode_png(bytes, name, limits);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") {
    return decode_webp(bytes, name, limits);
  }
  fail(name, ": not a JPEG, PNG or WebP picture");
}

Image load_image(const std::string& path, const DecodeLimits& limits) {
  return decode_image(read_file(path, kMaxFileBytes), path, limits);
}

}  // namespace kindred
