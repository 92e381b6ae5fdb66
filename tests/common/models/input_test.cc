// What enters a network: pictures of one to four channels, and of any size from 32 x 32 on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/philox.h"
#include "common/engine/program.h"
#include "common/models/model.h"
#include "tests/support/error_of.h"

namespace kindred {
namespace {

/// The smallest network of each family.
constexpr const char* kSmallest[] = {"pplcnet_x0_25", "pplcnetv2_small", "pplcnetv3_x0_5",
                                     "pphgnet_tiny",  "pphgnetv2_b0",    "swin_tiny_224"};

class NetworkInput : public testing::TestWithParam<const char*> {
 protected:
  ModelConfig config(int height, int width, int channels) const {
    ModelConfig config;
    config.arch = GetParam();
    config.classes = 5;
    config.image = with_channels(config.image, channels);
    config.image.height = height, config.image.width = width;
    return config;
  }
};

std::string input_name(const testing::TestParamInfo<const char*>& info) { return info.param; }

TEST_P(NetworkInput, HasTheChannelsOfItsPictures) {
  for (const int channels : {1, 2, 3, 4}) {
    ParameterSet parameters;
    const Graph graph = build_model(parameters, config(32, 40, channels), 2);
    EXPECT_EQ(graph.shape(graph.inputs()[0].second), (Shape{2, 32, 40, channels}));
    EXPECT_EQ(parameters.info({0}).file_shape[1], channels) << parameters.info({0}).name;
  }
}

TEST_P(NetworkInput, EveryChannelCounts) {
  constexpr int kChannels = 4;
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config(32, 40, kChannels), 1);
  parameters.freeze(*stream);
  parameters.initialize(2);
  Program program(build_model(parameters, config(32, 40, kChannels), 1), *stream, {});
  const Tensor image = program.input("image"), logits = program.output("logits");
  const auto run = [&](int changed) {
    Random random(7, {});
    for (int64_t i = 0; i < image.elements(); ++i) {
      const double shift = i % kChannels == changed ? 0.5 : 0;
      image.f32()[i] = static_cast<float>(random.uniform(-1, 1) + shift);
    }
    program.forward();
    return std::vector<float>(logits.f32(), logits.f32() + logits.elements());
  };
  const std::vector<float> plain = run(-1);
  EXPECT_TRUE(std::all_of(plain.begin(), plain.end(), [](float v) { return std::isfinite(v); }));
  for (int channel = 0; channel < kChannels; ++channel) EXPECT_NE(run(channel), plain) << channel;
}

/// Rows and columns of the map before the last pool.
Shape map_of(const ModelConfig& config) {
  ParameterSet parameters;
  const Graph graph = build_model(parameters, config, 1);
  Shape map;
  for (const Node& node : graph.nodes()) {
    if (node.op && node.op->type() == "global_average_pool") map = graph.shape(node.inputs[0]);
  }
  return {map[1], map[2]};
}

TEST_P(NetworkInput, EverySizeIsHalvedFiveTimesAndRoundedUp) {
  const auto halved = [](int side) { return (side + 31) / 32; };  // five times ceil(n / 2)
  for (const auto& [height, width] : {std::pair{32, 32}, {33, 63}, {193, 224}, {225, 97}, {160, 321}})
    EXPECT_EQ(map_of(config(height, width, 3)), (Shape{halved(height), halved(width)}))
        << height << "x" << width;
}

INSTANTIATE_TEST_SUITE_P(Networks, NetworkInput, testing::ValuesIn(kSmallest), input_name);

std::string message_of(const ModelConfig& config) {
  return test::error_of([&] {
    ParameterSet parameters;
    build_model(parameters, config, 1);
  });
}

TEST(ModelInput, WhatNoNetworkTakesIsNamed) {
  ModelConfig config;
  config.classes = 5;
  config.image.width = 31;
  EXPECT_EQ(message_of(config), "pphgnetv2_b0: the image is 224x31; each side must be 32 to 4096");
  config.image.width = 4097;
  EXPECT_THAT(message_of(config), testing::HasSubstr("the image is 224x4097"));
  config.image.width = 32, config.image.channels = 5;
  EXPECT_EQ(message_of(config), "pphgnetv2_b0: the image has 5 channels; expected 1 to 4");
}

}  // namespace
}  // namespace kindred
