#include "trainer/data/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/base/error.h"
#include "common/image/preprocess.h"

namespace kindred {
namespace {

const ImageSpec kSpec{.height = 24, .width = 32};

/// Options of all registered transforms, with "--name value" words.
Options options_of(std::vector<const char*> words = {}) {
  Options options("test", "");
  for (const auto& [name, entry] : transform_registry().entries()) entry.make.declare(options);
  words.insert(words.begin(), "test");
  options.parse(static_cast<int>(words.size()), words.data());
  return options;
}

Image noise(int width, int height, int channels = 3) {
  Random random(3, {0, 0, 0});
  Image image = make_image(width, height, channels);
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.word());
  return image;
}

Image applied(const std::string& name, const Image& image, std::vector<const char*> words = {},
              uint64_t draw = 0, const ImageSpec& spec = kSpec) {
  Image out = image;
  Random random(9, {draw, 0, 0});
  transform_registry().get(name).make.make(options_of(std::move(words)), spec)->apply(out, random);
  return out;
}

std::vector<std::string> transform_names() { return transform_registry().names(); }

class EveryTransform : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryTransform, IsAFunctionOfItsDraws) {
  bool differs = false;
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image once = applied(GetParam(), noise(40, 30), {}, draw);
    EXPECT_EQ(once.pixels, applied(GetParam(), noise(40, 30), {}, draw).pixels);
    differs |= once.pixels != applied(GetParam(), noise(40, 30), {}, draw + 1).pixels;
  }
  EXPECT_TRUE(differs);
}

TEST_P(EveryTransform, TakesPicturesOfAnyShape) {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 200}, {300, 2}, {32, 24}}) {
    for (uint64_t draw = 0; draw < 20; ++draw) {
      const Image out = applied(GetParam(), noise(width, height), {}, draw);
      EXPECT_EQ(out.pixels.size(), static_cast<size_t>(out.width) * static_cast<size_t>(out.height) * 3);
      EXPECT_GE(std::min(out.width, out.height), 1);
    }
  }
}

TEST_P(EveryTransform, TreatsGreyAsItTreatsColoursThatAreGrey) {
  const Image grey = noise(40, 30, 1);
  Image colours = make_image(40, 30);
  for (size_t i = 0; i < colours.pixels.size(); ++i) colours.pixels[i] = grey.pixels[i / 3];
  const ImageSpec level{.height = 24, .width = 32, .mean = {0.4f, 0.4f, 0.4f}};
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image a = applied(GetParam(), grey, {}, draw, with_channels(level, 1));
    const Image b = applied(GetParam(), colours, {}, draw, level);
    ASSERT_EQ(a.channels, 1);
    ASSERT_EQ(3 * a.pixels.size(), b.pixels.size());
    for (size_t i = 0; i < b.pixels.size(); ++i) ASSERT_NEAR(a.pixels[i / 3], b.pixels[i], 1);
  }
}

TEST_P(EveryTransform, KeepsOpaquePicturesOpaque) {
  for (const int channels : {2, 4}) {
    const auto step = static_cast<size_t>(channels);
    Image image = noise(40, 30, channels);
    for (size_t i = step - 1; i < image.pixels.size(); i += step) image.pixels[i] = 255;
    for (uint64_t draw = 0; draw < 10; ++draw) {
      const Image out = applied(GetParam(), image, {}, draw, with_channels(kSpec, channels));
      ASSERT_EQ(out.channels, channels);
      for (size_t i = step - 1; i < out.pixels.size(); i += step) ASSERT_EQ(out.pixels[i], 255);
    }
  }
}

TEST_P(EveryTransform, EndsAtSpecSizeInAChain) {
  Image image = noise(50, 41);
  Random random(1, {0, 0, 0});
  for (const auto& transform : make_transforms({GetParam()}, options_of(), kSpec))
    transform->apply(image, random);
  EXPECT_EQ(image.width, 32);
  EXPECT_EQ(image.height, 24);
}

INSTANTIATE_TEST_SUITE_P(Transform, EveryTransform, ::testing::ValuesIn(transform_names()),
                         [](const auto& test) { return test.param; });

TEST(Transforms, NoNamesIsWhatServingDoes) {
  const ImageSpec spec{.height = 24, .width = 32, .resize = ResizeMode::center_crop, .resize_short = 40};
  for (const auto& [width, height] : {std::pair{50, 41}, {32, 24}}) {
    Image image = noise(width, height);
    Random random(1, {0, 0, 0});
    for (const auto& transform : make_transforms({}, options_of(), spec)) transform->apply(image, random);
    EXPECT_EQ(image.pixels, fit(noise(width, height), spec).pixels);
  }
}

TEST(Transforms, UnknownNamesAreExplained) {
  try {
    make_transforms({"horizontal_flop"}, options_of(), kSpec);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(
                                  "unknown augmentation 'horizontal_flop'; did you mean 'horizontal_flip'?"));
  }
}

TEST(Transforms, ValuesOutOfRangeAreUsageErrors) {
  EXPECT_THROW(applied("horizontal_flip", noise(4, 4), {"--horizontal_flip.probability", "1.5"}), UsageError);
  EXPECT_THROW(applied("random_resized_crop", noise(4, 4),
                       {"--random_resized_crop.scale_min", "0.9", "--random_resized_crop.scale_max", "0.5"}),
               UsageError);
}

TEST(HorizontalFlip, ExchangesLeftAndRight) {
  const Image image = noise(5, 3),
              flipped = applied("horizontal_flip", image, {"--horizontal_flip.probability", "1"});
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 5; ++x) {
      for (int c = 0; c < 3; ++c) EXPECT_EQ(flipped.row(y)[3 * x + c], image.row(y)[3 * (4 - x) + c]);
    }
  }
  EXPECT_EQ(applied("horizontal_flip", image, {"--horizontal_flip.probability", "0"}).pixels, image.pixels);
}

TEST(RandomResizedCrop, TheWholePictureIsAPlainResize) {
  const std::vector<const char*> whole{"--random_resized_crop.scale_min", "1", "--random_resized_crop.aspect",
                                       "1"};
  EXPECT_EQ(applied("random_resized_crop", noise(30, 30), whole).pixels,
            resize(noise(30, 30), 32, 24, Interpolation::bilinear).pixels);
}

TEST(RandomResizedCrop, KeepsToTheWantedArea) {
  // A ramp from 0 to 255 along x tells by its spread how wide the part was; half the area at aspect 1 is
  // 0.707 wide.
  Image ramp{256, 256, {}};
  for (int i = 0; i < 256 * 256; ++i) ramp.pixels.insert(ramp.pixels.end(), 3, static_cast<uint8_t>(i % 256));
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image part = applied("random_resized_crop", ramp,
                               {"--random_resized_crop.scale_min", "0.5", "--random_resized_crop.scale_max",
                                "0.5", "--random_resized_crop.aspect", "1"},
                               draw);
    EXPECT_NEAR(part.row(0)[3 * 31] - part.row(0)[0], 256 * 0.7071 * 31 / 32, 2);
  }
}

TEST(ColorJitter, WithoutRangesChangesNothing) {
  const std::vector<const char*> still{"--color_jitter.brightness",  "0", "--color_jitter.contrast", "0",
                                       "--color_jitter.saturation",  "0", "--color_jitter.hue",      "0",
                                       "--color_jitter.probability", "1"};
  const Image image = noise(9, 9), out = applied("color_jitter", image, still);
  for (size_t i = 0; i < image.pixels.size(); ++i) EXPECT_NEAR(out.pixels[i], image.pixels[i], 1);
}

TEST(ColorJitter, SaturationAndHueLeaveGreyAlone) {
  const Image grey{8, 8, std::vector<uint8_t>(8 * 8 * 3, 140)};
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image out = applied(
        "color_jitter", grey,
        {"--color_jitter.brightness", "0", "--color_jitter.contrast", "1", "--color_jitter.saturation", "1",
         "--color_jitter.hue", "0.5", "--color_jitter.probability", "1"},
        draw);
    for (const uint8_t value : out.pixels) EXPECT_NEAR(value, 140, 1);
  }
}

TEST(ColorJitter, BrightnessScalesAllChannels) {
  const Image image{1, 1, {100, 50, 20}};
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image out = applied("color_jitter", image,
                              {"--color_jitter.brightness", "0.5", "--color_jitter.contrast", "0",
                               "--color_jitter.saturation", "0", "--color_jitter.probability", "1"},
                              draw);
    EXPECT_GE(out.pixels[0], 49);
    EXPECT_LE(out.pixels[0], 150);
    EXPECT_NEAR(out.pixels[1], out.pixels[0] / 2.0, 1);
    EXPECT_NEAR(out.pixels[2], out.pixels[0] / 5.0, 1);
  }
}

TEST(RandomErasing, PaintsOneRectangleInTheMeanColour) {
  const Image white{40, 40, std::vector<uint8_t>(40 * 40 * 3, 255)};
  const std::vector<const char*> always{
      "--random_erasing.probability", "1",    "--random_erasing.area_min", "0.25",
      "--random_erasing.area_max",    "0.25", "--random_erasing.aspect",   "2"};
  const std::array<uint8_t, kMaxChannels> fill = mean_colour(kSpec);
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image out = applied("random_erasing", white, always, draw);
    int left = 40, right = -1, top = 40, bottom = -1, erased = 0;
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 40; ++x) {
        const uint8_t* pixel = out.row(y) + 3 * x;
        if (pixel[0] == 255 && pixel[1] == 255 && pixel[2] == 255) continue;
        EXPECT_TRUE(std::equal(fill.begin(), fill.begin() + 3, pixel));
        left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
        bottom = std::max(bottom, y);
        ++erased;
      }
    }
    EXPECT_NEAR(erased, 400, 30);
    EXPECT_EQ(erased, (right - left + 1) * (bottom - top + 1));
  }
}

TEST(PadCrop, MovesThePicture) {
  // With kSpec's own size and 3 pixels of reach: the inside of the result is the source moved by (dx, dy).
  const Image image = noise(32, 24);
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image out = applied("pad_crop", image, {"--pad_crop.padding", "0.1"}, draw);
    int found = 0;
    for (int dy = -2; dy <= 2; ++dy) {
      for (int dx = -3; dx <= 3; ++dx) {
        bool same = true;
        for (int y = 4; y < 20; ++y)
          same &= std::equal(out.row(y) + 12, out.row(y) + 84, image.row(y - dy) + 12 - 3 * dx);
        found += same;
      }
    }
    EXPECT_EQ(found, 1);
  }
}

TEST(Rotation, ByNothingChangesNothing) {
  EXPECT_EQ(applied("rotation", noise(9, 7), {"--rotation.degrees", "0"}).pixels, noise(9, 7).pixels);
}

TEST(Rotation, TurnsAboutTheCentre) {
  Image image{41, 41, std::vector<uint8_t>(41 * 41 * 3)};
  std::fill_n(image.row(20) + 3 * 20, 3, uint8_t{255});  // the centre stays
  std::fill_n(image.row(20) + 3 * 35, 3, uint8_t{255});  // 15 to its right moves on a circle
  for (uint64_t draw = 0; draw < 10; ++draw) {
    const Image out = applied("rotation", image, {"--rotation.degrees", "90"}, draw);
    EXPECT_GE(out.row(20)[3 * 20], 254);
    double sum = 0, sum_radius = 0;
    for (int y = 5; y < 36; ++y) {
      for (int x = 5; x < 36; ++x) {
        const double radius = std::hypot(x - 20, y - 20);
        if (radius < 2 || radius > 19) continue;  // the centre, and what comes from outside
        const double level = out.row(y)[3 * x];
        sum += level;
        sum_radius += level * radius;
      }
    }
    EXPECT_NEAR(sum_radius / sum, 15, 0.3);
  }
}

}  // namespace
}  // namespace kindred
