#include "common/image/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/io/file.h"

namespace kindred {
namespace {

/// The picture of make_golden.py.
Image pattern(int width, int height, int channels = 3) {
  Image image{width, height, {}, channels};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const uint8_t levels[] = {
          static_cast<uint8_t>(37 * x + 11 * y), static_cast<uint8_t>((x / 3 + y / 2) % 2 != 0 ? 255 : 0),
          static_cast<uint8_t>(x * x + 3 * y * y), static_cast<uint8_t>(29 * x + 50 * y)};
      image.pixels.insert(image.pixels.end(), levels, levels + (channels < 3 ? 1 : 3));
      if (image.has_alpha()) image.pixels.push_back(levels[3]);
    }
  }
  return image;
}

TEST(Resize, IsPillowsToTheBit) {
  const std::string golden = read_file(std::string(KINDRED_SOURCE_DIR) + "/tests/common/image/resized.bin");
  int cases = 0;
  for (size_t at = 0; at < golden.size(); ++cases) {
    int32_t header[6];  // width, height, new width, new height, filter, channels
    ASSERT_LE(at + sizeof header, golden.size());
    std::memcpy(header, golden.data() + at, sizeof header);
    at += sizeof header;
    const auto kind = header[4] == 0 ? Interpolation::bilinear : Interpolation::bicubic;
    const Image resized = resize(pattern(header[0], header[1], header[5]), header[2], header[3], kind);
    ASSERT_LE(at + resized.pixels.size(), golden.size());
    EXPECT_EQ(std::memcmp(resized.pixels.data(), golden.data() + at, resized.pixels.size()), 0)
        << header[0] << " x " << header[1] << " to " << header[2] << " x " << header[3] << ", filter "
        << header[4] << ", channels " << header[5];
    at += resized.pixels.size();
  }
  EXPECT_EQ(cases, 16);
}

TEST(Resize, KeepsAFlatPictureFlat) {
  const Image flat{33, 21, std::vector<uint8_t>(33 * 21 * 3, 201)};
  for (const auto kind : {Interpolation::bilinear, Interpolation::bicubic}) {
    const Image resized = resize(flat, 70, 5, kind);
    EXPECT_TRUE(
        std::all_of(resized.pixels.begin(), resized.pixels.end(), [](uint8_t v) { return v == 201; }));
  }
}

TEST(Crop, TakesThePart) {
  const Image part = crop(pattern(9, 7), 2, 3, 4, 2);
  EXPECT_EQ(part.width, 4);
  EXPECT_EQ(part.height, 2);
  EXPECT_EQ(part.pixels[0], 37 * 2 + 11 * 3);
  EXPECT_EQ(part.row(1)[3 * 3], static_cast<uint8_t>(37 * 5 + 11 * 4));
}

TEST(Fit, StretchIgnoresTheAspect) {
  const ImageSpec spec{.height = 20, .width = 30};
  EXPECT_EQ(fit(pattern(11, 50), spec).pixels,
            resize(pattern(11, 50), 30, 20, Interpolation::bilinear).pixels);
}

TEST(Fit, CenterCropIsTheMiddleOfTheWholeResized) {
  const ImageSpec spec{.height = 24,
                       .width = 20,
                       .resize = ResizeMode::center_crop,
                       .resize_short = 30,
                       .interpolation = Interpolation::bicubic};
  // 61 x 40 -> 45 x 30 (the long side rounds down); the middle: x from round(12.5) = 12, y from 3.
  const Image whole = resize(pattern(61, 40), 45, 30, Interpolation::bicubic);
  EXPECT_EQ(fit(pattern(61, 40), spec).pixels, crop(whole, 12, 3, 20, 24).pixels);
}

TEST(Fit, AVeryLongPictureCostsNoMoreThanItsMiddle) {
  const ImageSpec spec{.height = 224, .width = 224, .resize = ResizeMode::center_crop, .resize_short = 256};
  const Image line{12'000, 1, std::vector<uint8_t>(36'000, 9)};  // resized as a whole it would have 2 GB
  const Image middle = fit(line, spec);
  EXPECT_EQ(middle.pixels, std::vector<uint8_t>(224 * 224 * 3, 9));
}

TEST(Normalize, SubtractsTheMeanAndDividesByTheDeviation) {
  const ImageSpec spec{.height = 1, .width = 2};
  const Image image{2, 1, {0, 128, 255, 255, 0, 128}};
  float out[6];
  normalize(image, spec, out);
  const float expected[6] = {(0 / 255.0f - 0.485f) / 0.229f,   (128 / 255.0f - 0.456f) / 0.224f,
                             (255 / 255.0f - 0.406f) / 0.225f, (255 / 255.0f - 0.485f) / 0.229f,
                             (0 / 255.0f - 0.456f) / 0.224f,   (128 / 255.0f - 0.406f) / 0.225f};
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(out[i], expected[i]);
}

TEST(Normalize, HasAMeanForEachChannel) {
  const ImageSpec spec{.channels = 2, .mean = {0.5f, 1.0f}, .std = {0.25f, 0.5f}};
  float out[4];
  normalize(Image{2, 1, {255, 255, 0, 0}, 2}, spec, out);
  EXPECT_THAT(out, testing::ElementsAre(2, 0, -2, -2));
}

TEST(Crop, KeepsAlpha) {
  const Image part = crop(pattern(5, 4, 4), 1, 2, 3, 2);
  EXPECT_EQ(part.channels, 4);
  EXPECT_EQ(part.row(1)[4 * 2 + 3], static_cast<uint8_t>(29 * 3 + 50 * 3));
}

TEST(Preprocess, IsFitThenNormalize) {
  const ImageSpec spec{.height = 8, .width = 6};
  std::vector<float> once(8 * 6 * 3), twice(8 * 6 * 3);
  preprocess(pattern(20, 10), spec, once.data());
  normalize(fit(pattern(20, 10), spec), spec, twice.data());
  EXPECT_EQ(once, twice);
}

}  // namespace
}  // namespace kindred
