#include "common/engine/parameters.h"
#include "tests/support/error_of.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace kindred {
namespace {

using test::error_of;

ParamInfo info(const std::string& name, Shape shape, Init init = Init::normal_std(1),
               ParamLayout layout = ParamLayout::plain) {
  ParamInfo out;
  out.name = name;
  out.file_shape = shape;
  out.init = init;
  out.layout = layout;
  return out;
}

ParamInfo buffer(const std::string& name, Shape shape) {
  ParamInfo out = info(name, shape, Init::value(1));
  out.trainable = false;
  return out;
}

std::vector<float> counting(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

struct Parameters : ::testing::Test {
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet set;
};

TEST_F(Parameters, LieInReverseOrderOfDeclaration) {
  const Param a = set.add(info("a", {3})), b = set.add(info("b", {20})), mean = set.add(buffer("mean", {5})),
              c = set.add(info("c", {16}));
  set.freeze(*stream);
  EXPECT_EQ(set.info(c).offset, 0);
  EXPECT_EQ(set.info(b).offset, 16);
  EXPECT_EQ(set.info(a).offset, 48) << "each starts at a multiple of 16";
  EXPECT_EQ(set.info(mean).offset, 0) << "buffers have a block of their own";
  EXPECT_EQ(set.values().elements(), 64);
  EXPECT_EQ(set.trainable_elements(), 39);
  EXPECT_FALSE(set.gradient(mean));
  EXPECT_EQ(set.value(b).f32(), set.values().f32() + 16);
  EXPECT_EQ(set.gradient(a).f32(), set.gradients().f32() + 48);
}

TEST_F(Parameters, KeepConvolutionWeightsAsOhwi) {
  const Param w = set.add(info("w", {2, 3, 4, 5}, Init::value(0), ParamLayout::ohwi));
  set.freeze(*stream);
  EXPECT_EQ(set.value(w).shape(), (Shape{2, 4, 5, 3}));
  set.set_from_file_layout(w, counting(120));
  for (int o = 0; o < 2; ++o)
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 5; ++x) {
          EXPECT_EQ(set.value(w).f32()[((o * 4 + y) * 5 + x) * 3 + c],
                    static_cast<float>(((o * 3 + c) * 4 + y) * 5 + x));
        }
  EXPECT_EQ(set.to_file_layout(w), counting(120));
}

TEST_F(Parameters, KeepDepthwiseWeightsAsHwc) {
  const Param w = set.add(info("w", {6, 1, 3, 2}, Init::value(0), ParamLayout::hwc));
  set.freeze(*stream);
  EXPECT_EQ(set.value(w).shape(), (Shape{3, 2, 6}));
  set.set_from_file_layout(w, counting(36));
  for (int c = 0; c < 6; ++c)
    for (int tap = 0; tap < 6; ++tap)
      EXPECT_EQ(set.value(w).f32()[tap * 6 + c], static_cast<float>(c * 6 + tap));
  EXPECT_EQ(set.to_file_layout(w), counting(36));
}

TEST_F(Parameters, StartFromTheSameValuesInAnyOrderAndLayout) {
  set.add(info("first", {4, 2, 3, 3}));
  const Param w = set.add(info("w", {4, 2, 3, 3}));
  set.freeze(*stream);
  set.initialize(42);

  ParameterSet other;
  const Param w2 = other.add(info("w", {4, 2, 3, 3}, Init::normal_std(1), ParamLayout::ohwi));
  other.add(info("last", {7}));
  other.freeze(*stream);
  other.initialize(42);
  EXPECT_EQ(set.to_file_layout(w), other.to_file_layout(w2));
  EXPECT_NE(set.to_file_layout(w), set.to_file_layout(set.find("first"))) << "names draw apart";
  other.initialize(43);
  EXPECT_NE(set.to_file_layout(w), other.to_file_layout(w2)) << "seeds draw apart";
}

TEST_F(Parameters, FollowTheirDistributions) {
  const int64_t n = 20000;
  set.add(info("constant", {n}, Init::value(0.25)));
  set.add(info("normal", {n}, Init::normal_std(0.5)));
  set.add(info("truncated", {n}, Init::truncated_std(0.5)));
  set.add(info("uniform", {n}, Init::uniform_bound(0.5)));
  set.freeze(*stream);
  set.initialize(1);
  const auto moments = [&](const char* name) {
    double sum = 0, squares = 0, largest = 0;
    for (const float v : set.to_file_layout(set.find(name))) {
      sum += v, squares += double{v} * v, largest = std::max(largest, std::abs(double{v}));
    }
    return std::array<double, 3>{sum / n, std::sqrt(squares / n), largest};
  };
  EXPECT_EQ(moments("constant"), (std::array<double, 3>{0.25, 0.25, 0.25}));
  EXPECT_NEAR(moments("normal")[0], 0, 0.015);
  EXPECT_NEAR(moments("normal")[1], 0.5, 0.01);
  EXPECT_GT(moments("normal")[2], 1.5);
  EXPECT_NEAR(moments("truncated")[1], 0.5 * 0.8796, 0.01);  // the deviation of a normal cut at 2
  EXPECT_LE(moments("truncated")[2], 1.0);
  EXPECT_NEAR(moments("uniform")[1], 0.5 / std::sqrt(3), 0.01);
  EXPECT_LE(moments("uniform")[2], 0.5);
}

TEST_F(Parameters, CountChangesOfValues) {
  const Param a = set.add(info("a", {3}));
  set.freeze(*stream);
  const int64_t before = set.version();
  set.set_from_file_layout(a, counting(3));
  EXPECT_GT(set.version(), before);
}

TEST_F(Parameters, SayWhatIsWrong) {
  const Param a = set.add(info("stem.conv.weight", {3}));
  EXPECT_EQ(error_of([&] { set.add(info("stem.conv.weight", {4})); }),
            "parameter 'stem.conv.weight' is declared twice");
  EXPECT_EQ(error_of([&] {
              set.add(info("w", {4, 4}, {}, ParamLayout::ohwi));
            }),
            "parameter 'w': a convolution weight has 4 dimensions; got [4,4]");
  EXPECT_EQ(error_of([&] {
              set.add(info("w", {4, 4, 3, 3}, {}, ParamLayout::hwc));
            }),
            "parameter 'w': a depthwise weight is [C,1,kh,kw]; got [4,4,3,3]");
  EXPECT_EQ(error_of([&] { set.find("stem.conv.wieght"); }),
            "unknown parameter 'stem.conv.wieght'; did you mean 'stem.conv.weight'?");
  set.freeze(*stream);
  EXPECT_EQ(error_of([&] { set.set_from_file_layout(a, counting(4)); }),
            "parameter 'stem.conv.weight' [3] needs 3 values; got 4");
}

}  // namespace
}  // namespace kindred
