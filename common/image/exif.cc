#include "common/image/exif.h"

#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <utility>

#include "common/base/error.h"

namespace kindred {
namespace {

constexpr uint32_t kOrientationTag = 0x0112, kShortType = 3;

/// Numbers of a TIFF block in its own byte order. Requires offsets inside the block.
class TiffReader {
 public:
  TiffReader(std::string_view block, bool big_endian) : block_(block), big_endian_(big_endian) {}

  uint32_t u16(size_t at) const { return number(at, 2); }
  uint32_t u32(size_t at) const { return number(at, 4); }

 private:
  uint32_t number(size_t at, size_t bytes) const {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      value = value << 8 | static_cast<uint8_t>(block_[at + (big_endian_ ? i : bytes - 1 - i)]);
    }
    return value;
  }

  std::string_view block_;
  bool big_endian_;
};

}  // namespace

int exif_orientation(std::string_view block) {
  constexpr std::string_view kPrefix("Exif\0\0", 6), kLittle("II*\0", 4), kBig("MM\0*", 4);
  if (block.starts_with(kPrefix)) block.remove_prefix(kPrefix.size());
  if (block.size() < 8 || (!block.starts_with(kLittle) && !block.starts_with(kBig))) return 1;

  const TiffReader tiff(block, block.starts_with(kBig));
  const size_t directory = tiff.u32(4);
  if (directory + 2 > block.size()) return 1;
  const size_t entries = tiff.u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;  // tag, type, count, value
    if (entry + 12 > block.size()) return 1;
    if (tiff.u16(entry) != kOrientationTag) continue;
    const uint32_t value = tiff.u16(entry + 8);
    const bool valid =
        tiff.u16(entry + 2) == kShortType && tiff.u32(entry + 4) == 1 && value >= 1 && value <= 8;
    return valid ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image upright(Image image, int orientation) {
  KINDRED_ASSERT(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return image;
  // Every orientation is: exchange x and y or not, then mirror x or not, then mirror y or not.
  const bool exchange = orientation >= 5;
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;

  Image out = make_image(exchange ? image.height : image.width, exchange ? image.width : image.height,
                         image.channels);
  for (int y = 0; y < out.height; ++y) {
    uint8_t* to = out.row(y);
    const int v = mirror_y ? out.height - 1 - y : y;
    for (int x = 0; x < out.width; ++x, to += image.channels) {
      const int u = mirror_x ? out.width - 1 - x : x;
      const uint8_t* from = image.row(exchange ? u : v) + image.channels * (exchange ? v : u);
      std::memcpy(to, from, static_cast<size_t>(image.channels));
    }
  }
  return out;
}

}  // namespace kindred
