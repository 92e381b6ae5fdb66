#include "common/image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>  // getpid

#include <cstdlib>
#include <filesystem>

#include "common/base/error.h"
#include "tests/common/image/picture_files.h"

namespace kindred {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Colour kRed{255, 0, 0}, kGreen{0, 255, 0}, kBlue{0, 0, 255}, kGrey{128, 128, 128};
constexpr Colour kGrey0{0, 0, 0}, kGrey85{85, 85, 85}, kGrey170{170, 170, 170}, kWhite{255, 255, 255};
const std::array<Colour, 4> kSquares{kRed, kGreen, kBlue, kGrey};
const std::array<Colour, 4> kGreys{kGrey0, kGrey85, kGrey170, kWhite};

std::string error_of(std::string_view bytes, const DecodeLimits& limits = {}) {
  try {
    decode_image(bytes, "picture", limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Case {
  const char* file;
  std::array<Colour, 4> colours;
  int tolerance;  // grey levels; lossy formats need some
};

class EveryFormat : public ::testing::TestWithParam<Case> {};

TEST_P(EveryFormat, BecomesRgb) {
  const Image image = decode_image(test_picture(GetParam().file), GetParam().file);
  ASSERT_EQ(image.width, 16);
  ASSERT_EQ(image.height, 16);
  ASSERT_EQ(image.pixels.size(), 16u * 16u * 3u);
  const std::array<Colour, 4> found = quarters(image);
  for (size_t i = 0; i < 4; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(found[i][c], GetParam().colours[i][c], GetParam().tolerance)
          << "quarter " << i << " channel " << c;
    }
  }
}

// Half transparent black over white is 128; turned pictures need a turn to the right to stand upright.
INSTANTIATE_TEST_SUITE_P(Decode, EveryFormat,
                         ::testing::Values(Case{"rgb.jpg", kSquares, 3}, Case{"progressive.jpg", kSquares, 3},
                                           Case{"cmyk.jpg", kSquares, 4}, Case{"grey.jpg", kGreys, 2},
                                           Case{"rgb.png", kSquares, 0}, Case{"rgba.png", kSquares, 0},
                                           Case{"palette.png", kSquares, 0},
                                           Case{"interlaced.png", kSquares, 0}, Case{"grey.png", kGreys, 0},
                                           Case{"grey16.png", kGreys, 0}, Case{"grey_alpha.png", kGreys, 0},
                                           Case{"lossless.webp", kSquares, 0},
                                           Case{"lossy.webp", kSquares, 6}, Case{"alpha.webp", kSquares, 0},
                                           Case{"turned.jpg", {kBlue, kRed, kGrey, kGreen}, 3},
                                           Case{"turned.png", {kBlue, kRed, kGrey, kGreen}, 0},
                                           Case{"turned.webp", {kBlue, kRed, kGrey, kGreen}, 0}),
                         [](const auto& test) {
                           std::string name = test.param.file;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST(Decode, RefusesWhatIsNoPicture) {
  EXPECT_EQ(error_of(""), "picture: the file is empty; expected a JPEG, PNG or WebP picture");
  EXPECT_EQ(error_of("GIF89a..."), "picture: not a JPEG, PNG or WebP picture");
  EXPECT_EQ(error_of("RIFF"), "picture: not a JPEG, PNG or WebP picture");
  EXPECT_THAT(error_of("\xff\xd8\xff"), HasSubstr("not a readable JPEG"));
  EXPECT_THAT(error_of(std::string_view("\x89PNG\r\n\x1a\n", 8)), HasSubstr("not a readable PNG"));
  EXPECT_THAT(error_of("RIFF....WEBP"), HasSubstr("not a readable WebP"));
}

TEST(Decode, RefusesAnAnimatedWebp) {
  EXPECT_THAT(error_of(test_picture("animated.webp")), HasSubstr("animated"));
}

TEST(Decode, ChecksLimitsFromTheHeaderAlone) {
  for (const std::string name : {"rgb.jpg", "rgb.png", "lossless.webp"}) {
    const std::string bytes = test_picture(name);
    EXPECT_EQ(error_of(bytes, {.max_side = 15}), "picture: 16 x 16 pixels; a side may have at most 15")
        << name;
    EXPECT_EQ(error_of(bytes, {.max_pixels = 255}), "picture: 16 x 16 = 256 pixels; at most 255 are allowed")
        << name;
    EXPECT_EQ(error_of(bytes, {.max_pixels = 256, .max_side = 16}), "no error") << name;
  }
}

TEST(Decode, RefusesAHugeHeaderBeforeAllocating) {
  std::string bytes = test_picture("rgb.jpg");
  const size_t frame = bytes.find("\xff\xc0");
  ASSERT_NE(frame, bytes.npos);
  bytes.replace(frame + 5, 4, "\x7f\xf0\x7f\xf0");  // height and width
  EXPECT_EQ(error_of(bytes), "picture: 32752 x 32752 pixels; a side may have at most 12000");
}

TEST(Decode, TreatsAPictureCutOffAnywhereAsAnError) {
  for (const std::string name : {"rgb.jpg", "progressive.jpg", "cmyk.jpg", "rgba.png", "interlaced.png",
                                 "palette.png", "lossless.webp", "lossy.webp", "turned.webp"}) {
    const std::string bytes = test_picture(name);
    for (size_t length = 0; length + 8 < bytes.size(); length += 7) {
      EXPECT_NE(error_of(std::string_view(bytes).substr(0, length)), "no error")
          << name << ", " << length << " bytes";
    }
    EXPECT_EQ(error_of(bytes + std::string(100, '\xff')), "no error") << name << ", garbage behind";
  }
}

TEST(Decode, ShrinksLargeJpegsButNotBelowTheWantedSide) {
  const Image large{100, 60, std::vector<uint8_t>(100 * 60 * 3, 77)};
  const std::string bytes = encode_jpeg(large, 90);
  EXPECT_EQ(decode_image(bytes, "x", {.min_short_side = 31}).height, 60);
  EXPECT_EQ(decode_image(bytes, "x", {.min_short_side = 30}).height, 30);
  EXPECT_EQ(decode_image(bytes, "x", {.min_short_side = 15}).width, 25);
  EXPECT_EQ(decode_image(bytes, "x", {.min_short_side = 1}).width, 13);
}

TEST(Decode, StopsAtAJpegWithTooManyScans) {
  // A scan of a progressive picture repeated many times costs the reader far more than the writer.
  const std::string bytes = test_picture("progressive.jpg");
  const size_t last = bytes.rfind("\xff\xda");
  ASSERT_NE(last, bytes.npos);
  const std::string scan = bytes.substr(last, bytes.size() - 2 - last);
  std::string many = bytes.substr(0, bytes.size() - 2);
  for (int i = 0; i < 200; ++i) many += scan;
  many += "\xff\xd9";
  EXPECT_THAT(error_of(many), HasSubstr("more than 100 scans"));
}

TEST(Decode, LoadsFilesAndNamesThem) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("kindred_decode_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string good = folder / "good.jpg", bad = folder / "bad.png";
  write_file(good, test_picture("rgb.jpg"));
  write_file(bad, "not a picture");
  EXPECT_EQ(load_image(good).width, 16);
  for (const std::string& path : {bad, folder.string(), (folder / "absent.jpg").string()}) {
    try {
      load_image(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Encode, PngGivesTheSamePixelsBack) {
  Image image{7, 5, std::vector<uint8_t>(7 * 5 * 3)};
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(31 * i);
  EXPECT_EQ(decode_image(encode_png(image), "x").pixels, image.pixels);
}

TEST(Encode, PngKeepsEveryNumberOfChannels) {
  for (const int channels : {1, 2, 3, 4}) {
    Image image = make_image(6, 3, channels);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(41 * i);
    const Image back = decode_image(encode_png(image), "x", {}, channels);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, image.pixels) << channels << " channels";
  }
}

TEST(Channels, GreyIsTheLumaOfColours) {
  const Image colours{4, 1, {255, 0, 0, 0, 255, 0, 0, 0, 255, 90, 90, 90}};
  EXPECT_THAT(decode_image(encode_png(colours), "x", {}, 1).pixels, ElementsAre(76, 150, 29, 90));
}

TEST(Channels, WhatHasNoAlphaIsOpaque) {
  const Image grey{2, 1, {10, 200}, 1};
  EXPECT_THAT(decode_image(encode_png(grey), "x", {}, 2).pixels, ElementsAre(10, 255, 200, 255));
  EXPECT_THAT(decode_image(encode_png(grey), "x", {}, 4).pixels,
              ElementsAre(10, 10, 10, 255, 200, 200, 200, 255));
}

TEST(Channels, AlphaIsKeptOrLaidOverWhite) {
  const Image clear{2, 1, {100, 50, 0, 255, 0, 0, 0, 51}, 4};
  const std::string bytes = encode_png(clear);
  EXPECT_EQ(decode_image(bytes, "x", {}, 4).pixels, clear.pixels);
  EXPECT_THAT(decode_image(bytes, "x", {}, 3).pixels, ElementsAre(100, 50, 0, 204, 204, 204));
  EXPECT_THAT(decode_image(bytes, "x", {}, 2).pixels, ElementsAre(59, 255, 0, 51));
  EXPECT_THAT(decode_image(bytes, "x", {}, 1).pixels, ElementsAre(59, 204));
}

TEST(Channels, EveryFormatGivesTheNumberThatIsAskedFor) {
  for (const char* file :
       {"grey.jpg", "cmyk.jpg", "rgba.png", "grey_alpha.png", "alpha.webp", "turned.webp"}) {
    for (const int channels : {1, 2, 3, 4}) {
      const Image image = decode_image(test_picture(file), file, {}, channels);
      EXPECT_EQ(image.channels, channels);
      EXPECT_EQ(image.pixels.size(), 16u * 16u * static_cast<size_t>(channels)) << file;
    }
  }
}

TEST(Encode, JpegOfHigherQualityIsNearer) {
  Image image{64, 64, std::vector<uint8_t>(64 * 64 * 3)};
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(i / 3 % 64 * 2 + i / 192);
  const auto error = [&](int quality) {
    const Image back = decode_image(encode_jpeg(image, quality), "x");
    int worst = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      worst = std::max(worst, std::abs(back.pixels[i] - image.pixels[i]));
    return worst;
  };
  EXPECT_LE(error(98), 8);
  EXPECT_LT(error(98), error(10));
}

}  // namespace
}  // namespace kindred
