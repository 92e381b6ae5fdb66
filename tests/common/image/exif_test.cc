#include "common/image/exif.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kindred {
namespace {

/// A TIFF block with a decoy entry and then the orientation.
std::string block(char orientation, bool big_endian) {
  if (big_endian) {
    return std::string("MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x01\0\0\0\0\x01\x12\0\x03\0\0\0\x01\0",
                       31) +
           orientation + std::string(6, '\0');
  }
  return std::string("II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x01\0\0\0\0\0\0\0\x12\x01\x03\0\x01\0\0\0", 30) +
         orientation + std::string(7, '\0');
}

TEST(ExifOrientation, IsReadInBothByteOrders) {
  for (char k = 1; k <= 8; ++k) {
    EXPECT_EQ(exif_orientation(block(k, false)), k);
    EXPECT_EQ(exif_orientation(block(k, true)), k);
    EXPECT_EQ(exif_orientation(std::string("Exif\0\0", 6) + block(k, true)), k);
  }
}

TEST(ExifOrientation, IsUprightWhenTheBlockIsDamaged) {
  EXPECT_EQ(exif_orientation(""), 1);
  EXPECT_EQ(exif_orientation("Exif"), 1);
  EXPECT_EQ(exif_orientation(block(0, false)), 1);
  EXPECT_EQ(exif_orientation(block(9, false)), 1);
  const std::string good = block(6, false);
  for (size_t length = 0; length < 34; ++length)
    EXPECT_EQ(exif_orientation(good.substr(0, length)), 1) << length;
  EXPECT_EQ(exif_orientation(good.substr(0, 34)), 6);
  std::string far = good;
  far.replace(4, 4, "\xff\xff\xff\xff");  // the directory lies outside
  EXPECT_EQ(exif_orientation(far), 1);
  std::string text = good;
  text[24] = 2;  // not a 16-bit number
  EXPECT_EQ(exif_orientation(text), 1);
}

/// A 3 x 2 picture of the letters a b c / d e f, and the letters of a picture.
Image letters_image() {
  Image image{3, 2, {}};
  for (const char c : std::string("abcdef"))
    image.pixels.insert(image.pixels.end(), 3, static_cast<uint8_t>(c));
  return image;
}
std::string letters(const Image& image) {
  std::string text;
  for (int y = 0; y < image.height; ++y) {
    if (y > 0) text += '/';
    for (int x = 0; x < image.width; ++x) text += static_cast<char>(image.row(y)[3 * x]);
  }
  return text;
}

TEST(Upright, TurnsAllEightOrientations) {
  const std::vector<std::string> expected{"abc/def",  "cba/fed",  "fed/cba",  "def/abc",
                                          "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad"};
  for (int k = 1; k <= 8; ++k) {
    EXPECT_EQ(letters(upright(letters_image(), k)), expected[static_cast<size_t>(k - 1)])
        << "orientation " << k;
  }
}

}  // namespace
}  // namespace kindred
