// Fuzz target: any bytes as a picture. They give an Error or a picture within the limits.
#include "common/base/error.h"
#include "common/image/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr kindred::DecodeLimits kLimits{.max_pixels = 100'000, .max_side = 4'000};
  const int channels = static_cast<int>(size % 4) + 1;
  try {
    const kindred::Image image =
        kindred::decode_image({reinterpret_cast<const char*>(data), size}, "fuzz", kLimits, channels);
    const int64_t pixels = int64_t{image.width} * image.height;
    KINDRED_ASSERT(image.width >= 1 && image.height >= 1 && pixels <= kLimits.max_pixels);
    KINDRED_ASSERT(image.pixels.size() == static_cast<size_t>(channels * pixels));
  } catch (const kindred::Error&) {
  }
  return 0;
}
