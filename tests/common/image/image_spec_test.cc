#include "common/image/image_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"

namespace kindred {
namespace {

const ImageSpec kCropping{.height = 100,
                          .width = 96,
                          .resize = ResizeMode::center_crop,
                          .resize_short = 128,
                          .interpolation = Interpolation::bicubic,
                          .mean = {0.1f, 0.2f, 0.3f},
                          .std = {1.0f, 0.5f, 0.25f}};

TEST(ImageSpec, SurvivesJson) {
  EXPECT_EQ(ImageSpec::from_json(ImageSpec{}.to_json(), "x"), ImageSpec{});
  EXPECT_EQ(ImageSpec::from_json(parse_json(kCropping.to_json().dump(), "x"), "x"), kCropping);
}

TEST(ImageSpec, OfEveryNumberOfChannelsSurvivesJson) {
  for (const int channels : {1, 2, 3, 4}) {
    const ImageSpec spec = with_channels(kCropping, channels);
    EXPECT_EQ(spec.channels, channels);
    EXPECT_EQ(ImageSpec::from_json(parse_json(spec.to_json().dump(), "x"), "x"), spec);
  }
  EXPECT_FLOAT_EQ(with_channels(kCropping, 2).mean[0], 0.2f);
  EXPECT_FLOAT_EQ(with_channels(kCropping, 4).mean[3], 1);  // opaque becomes 0
}

TEST(ImageSpec, NamesTheKeyThatIsWrong) {
  const auto error_with = [](const char* key, const Json& value) {
    Json json = kCropping.to_json();
    json[key] = value;
    try {
      ImageSpec::from_json(json, "model.safetensors");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error_with("height", 0), "model.safetensors: the key 'height' is 0; expected 1 to 4096");
  EXPECT_EQ(error_with("width", 5000), "model.safetensors: the key 'width' is 5000; expected 1 to 4096");
  EXPECT_EQ(error_with("resize_short", 99),
            "model.safetensors: the key 'resize_short' is 99; expected 100 to 4096");
  EXPECT_EQ(error_with("resize", "squash"),
            "model.safetensors: the key 'resize' is 'squash'; expected 'stretch' or 'center_crop'");
  EXPECT_THAT(error_with("std", {1, 0, 1}), ::testing::HasSubstr("the key 'std' must be 3 numbers"));
  EXPECT_THAT(error_with("mean", {1, 0}), ::testing::HasSubstr("the key 'mean' must be 3 numbers"));
  EXPECT_THAT(error_with("interpolation", 3), ::testing::HasSubstr("'interpolation'"));
  EXPECT_EQ(error_with("channels", 5), "model.safetensors: the key 'channels' is 5; expected 1 to 4");
  EXPECT_THAT(error_with("channels", 1), ::testing::HasSubstr("the key 'mean' must be 1 numbers"));
  Json without = kCropping.to_json();
  without.erase("mean");
  EXPECT_THROW(ImageSpec::from_json(without, "x"), Error);
}

}  // namespace
}  // namespace kindred
