// What ops refuse, and in which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/ops/add.h"
#include "common/ops/batch_norm.h"
#include "common/ops/channel_gate.h"
#include "common/ops/concat.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/dropout.h"
#include "common/ops/max_pool.h"
#include "common/ops/reshape.h"

namespace kindred {
namespace {

class ShapeRules : public ::testing::Test {
 protected:
  Value input(const Shape& shape) { return graph_.input(concat("x", inputs_++), shape); }
  template <class F>
  static std::string refusal(F f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  ParameterSet parameters_;
  Graph graph_{parameters_};
  int inputs_ = 0;
};

TEST_F(ShapeRules, ConvolutionNamesChannelsThatGroupsDoNotDivide) {
  const Value x = input({8, 14, 14, 250});
  EXPECT_THAT(
      refusal([&] {
        conv2d(graph_, x, {64, Window::same(3), 4}, "conv");
      }),
      ::testing::AllOf(::testing::HasSubstr("divisible by groups 4"), ::testing::HasSubstr("[8,14,14,250]")));
}

TEST_F(ShapeRules, ARefusedConvolutionDeclaresNothing) {
  const Value x = input({8, 14, 14, 250});
  EXPECT_THROW(conv2d(graph_, x, {64, Window::same(3), 4}, "conv"), Error);
  EXPECT_EQ(parameters_.count(), 0);
}

TEST_F(ShapeRules, WindowsMustFitIntoThePaddedImage) {
  const Value x = input({1, 3, 9, 8});
  EXPECT_THAT(refusal([&] { depthwise_conv2d(graph_, x, {Window::valid(5)}, "conv"); }),
              ::testing::HasSubstr("at least as large as the window k=5x5"));
}

TEST_F(ShapeRules, ConvolutionsWantImages) {
  const Value x = input({4, 8});
  EXPECT_THAT(refusal([&] {
                conv2d(graph_, x, {8, Window::same(1)}, "conv");
              }),
              ::testing::HasSubstr("conv2d expects images [N,H,W,C]; got [4,8]"));
}

TEST_F(ShapeRules, PoolsRefusePaddingAsWideAsTheKernel) {
  const Value x = input({1, 8, 8, 4});
  EXPECT_THAT(refusal([&] {
                max_pool(graph_, x, {2, 2, 2, 2, 2, 0, 0, 0});
              }),
              ::testing::HasSubstr("padding below the kernel"));
}

TEST_F(ShapeRules, SumsAndJoinsWantShapesThatAgree) {
  const Value a = input({2, 4, 4, 8}), b = input({2, 4, 5, 8});
  EXPECT_THAT(refusal([&] { add(graph_, {a, b}); }), ::testing::HasSubstr("[2,4,4,8], [2,4,5,8]"));
  EXPECT_THAT(refusal([&] {
                concat_channels(graph_, {a, b});
              }),
              ::testing::HasSubstr("the last dimension only"));
}

TEST_F(ShapeRules, GatesAndResidualsMustMatchTheirImages) {
  const Value x = input({2, 4, 4, 8}), gate = input({2, 7});
  EXPECT_THAT(refusal([&] { channel_gate(graph_, x, gate); }), ::testing::HasSubstr("a gate [N,C]"));
  BatchNormSpec norm;
  norm.residual = gate;
  EXPECT_THAT(refusal([&] { batch_norm(graph_, x, norm, "bn"); }), ::testing::HasSubstr("a residual"));
}

TEST_F(ShapeRules, ReshapeKeepsTheNumberOfElements) {
  const Value x = input({2, 3});
  EXPECT_THAT(refusal([&] { reshape(graph_, x, {7}); }), ::testing::HasSubstr("as many elements as [7]"));
}

TEST_F(ShapeRules, DropoutRatesLieBelowOne) {
  const Value x = input({2, 3});
  EXPECT_THAT(refusal([&] { dropout(graph_, x, 1.0); }), ::testing::HasSubstr("a rate in [0, 1); got 1"));
  EXPECT_EQ(dropout(graph_, x, 0).id, x.id);
}

}  // namespace
}  // namespace kindred
