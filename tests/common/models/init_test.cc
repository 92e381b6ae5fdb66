// Fresh weights: the distributions of the reference implementations, by the statistics of what was drawn.
// PaddleClas: convolutions normal with variance 2 / fan_in (of a depthwise one: of its window), classifiers
// uniform by Xavier, norms 1 and 0, affine blocks 1 and 0; Swin's linear layers and tables normal with 0.02,
// cut at two deviations.
#include <gtest/gtest.h>

#include <cmath>

#include "common/models/model.h"

namespace kindred {
namespace {

struct Drawn {
  double mean = 0, std = 0, largest = 0;
  int64_t count = 0;
};

Drawn statistics_of(const Tensor& values) {
  Drawn drawn{.count = values.elements()};
  const auto n = static_cast<double>(drawn.count);
  for (int64_t i = 0; i < drawn.count; ++i) {
    drawn.mean += values.f32()[i] / n;
    drawn.largest = std::max(drawn.largest, std::abs(double{values.f32()[i]}));
  }
  for (int64_t i = 0; i < drawn.count; ++i) drawn.std += std::pow(values.f32()[i] - drawn.mean, 2) / n;
  drawn.std = std::sqrt(drawn.std);
  return drawn;
}

/// Five standard errors of the mean, and of the deviation of anything from uniform to normal.
void expect_drawn(const Drawn& drawn, double std, double bound, const std::string& name) {
  const double error = 5 * std / std::sqrt(static_cast<double>(drawn.count));
  EXPECT_NEAR(drawn.mean, 0, error) << name;
  EXPECT_NEAR(drawn.std, std, error) << name;
  EXPECT_LE(drawn.largest, bound * 1.000001) << name;
}

constexpr double kUnbounded = 1e30;
constexpr double kCutShare = 0.8796;  // the deviation of a normal cut at two deviations, by the uncut one's

class FreshWeights : public testing::TestWithParam<const char*> {};

TEST_P(FreshWeights, AreDrawnAsInTheReference) {
  ModelConfig config;
  config.arch = GetParam();
  config.classes = 400;
  const bool swin = config.arch.starts_with("swin");
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config, 1);
  parameters.freeze(*stream);
  parameters.initialize(11);
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    const Drawn drawn = statistics_of(parameters.value({i}));
    const Shape& shape = info.file_shape;
    if (shape.rank() == 1) {
      const bool one =
          info.name.ends_with("weight") || info.name.ends_with("scale") || info.name.ends_with("running_var");
      EXPECT_NEAR(drawn.mean, one ? 1 : 0, 1e-9) << info.name;
      EXPECT_NEAR(drawn.std, 0, 1e-9) << info.name;
    } else if (shape.rank() == 4) {
      const auto fan_in = static_cast<double>(shape.elements() / shape[0]);
      expect_drawn(drawn, std::sqrt(2 / fan_in), kUnbounded, info.name);
    } else if (swin) {
      expect_drawn(drawn, 0.02 * kCutShare, 0.04, info.name);
    } else {
      const double bound = std::sqrt(6.0 / static_cast<double>(shape[0] + shape[1]));
      expect_drawn(drawn, bound / std::sqrt(3), bound, info.name);
    }
  }
}

std::string fresh_name(const testing::TestParamInfo<const char*>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Networks, FreshWeights,
                         testing::Values("pplcnet_x0_25", "pplcnetv2_small", "pplcnetv3_x0_5", "pphgnet_tiny",
                                         "pphgnetv2_b0", "swin_tiny_224"),
                         fresh_name);

TEST(FreshNeck, IsXaviersNormalWithoutBias) {
  ModelConfig config;
  config.embedding = 200;
  config.bnneck = true;
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config, 1);
  EXPECT_FALSE(parameters.contains("neck.fc.bias"));
  parameters.freeze(*stream);
  parameters.initialize(3);
  const Param weight = parameters.find("neck.fc.weight");
  const auto sides = static_cast<double>(parameters.info(weight).file_shape[1] + 200);
  expect_drawn(statistics_of(parameters.value(weight)), std::sqrt(2 / sides), kUnbounded, "neck.fc.weight");
}

}  // namespace
}  // namespace kindred
