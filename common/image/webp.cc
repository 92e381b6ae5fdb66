// WebP by libwebp. EXIF lies in a chunk of the RIFF container around the picture.
// Source: WebP Container Specification (developers.google.com/speed/webp/docs/riff_container).
#include <webp/decode.h>

#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/image/codecs.h"
#include "common/image/exif.h"

namespace kindred {
namespace {

/// The content of the first chunk with that four-letter name, or "" when there is none.
std::string_view find_chunk(std::string_view riff, std::string_view four_letters) {
  riff.remove_prefix(12);  // "RIFF", size, "WEBP"
  while (riff.size() >= 8) {
    uint64_t size = 0;
    for (size_t i = 8; i-- > 4;) size = size << 8 | static_cast<uint8_t>(riff[i]);
    if (size > riff.size() - 8) return {};
    if (riff.starts_with(four_letters)) return riff.substr(8, size);
    riff.remove_prefix(
        std::min<uint64_t>(8 + size + size % 2, riff.size()));  // chunks are padded to even sizes
  }
  return {};
}

std::string_view reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that libwebp does not know";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the file ends too early";
    default:
      return "the data is damaged";
  }
}

}  // namespace

Image decode_webp(std::string_view bytes, std::string_view name, const DecodeLimits& limits) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(name, ": the installed libwebp does not fit the one built for");
  VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &config.input);
  if (status != VP8_STATUS_OK) fail(name, ": not a readable WebP picture: ", reason(status));
  if (config.input.has_animation) fail(name, ": an animated WebP; expected a single picture");
  check_limits(config.input.width, config.input.height, name, limits);

  const bool transparent = config.input.has_alpha;
  Image image = make_image(config.input.width, config.input.height, transparent ? 4 : 3);
  config.output.colorspace = transparent ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {image.pixels.data(), static_cast<int>(image.row_bytes()), image.pixels.size()};
  status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) fail(name, ": damaged or incomplete WebP picture: ", reason(status));

  return upright(std::move(image), exif_orientation(find_chunk(bytes, "EXIF")));
}

}  // namespace kindred
