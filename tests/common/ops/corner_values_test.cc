// Single values where an op could go wrong although its case in the tables is right.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/ops/l2_normalize.h"
#include "common/ops/max_pool.h"
#include "common/ops/vector_math.h"

namespace kindred {
namespace {

struct Ran {
  std::vector<float> y, dx;
};

/// Forward, then backward from a gradient of ones.
Ran run(const Op& op, const Shape& shape, const std::vector<float>& x) {
  const auto stream = make_stream({});
  const auto communicator = make_self_communicator();
  const Shape out = op.output_shape({&shape, 1});
  const auto kernel = kernel_registry()
                          .get(concat("cpu/", op.type()))
                          .make({op, {shape}, out, {}, true, *stream, *communicator});
  const std::vector<Tensor> inputs{Tensor(shape)}, gradients{Tensor(shape)};
  std::copy(x.begin(), x.end(), inputs[0].f32());
  const std::vector<uint8_t> accumulate{0};
  Io io;
  io.inputs = inputs;
  io.output = Tensor(out);
  io.state = Tensor({kernel->state_bytes() + 1}, DType::u8);
  kernel->forward(*stream, io);
  const Tensor dy(out);
  std::fill_n(dy.f32(), out.elements(), 1.0f);
  kernel->backward(*stream, io, {dy, gradients, accumulate, {}});
  return {{io.output.f32(), io.output.f32() + out.elements()},
          {gradients[0].f32(), gradients[0].f32() + shape.elements()}};
}

TEST(MaxPool, GivesTheGradientOfATieToTheFirst) {
  MaxPool op;
  op.window = Window::valid(2, 2);
  EXPECT_EQ(run(op, {1, 2, 2, 1}, {3, 5, 5, 5}).dx, (std::vector<float>{0, 1, 0, 0}));
}

TEST(MaxPool, LetsNoNanVanish) {
  MaxPool op;
  op.window = Window::valid(1, 1);
  op.window.kernel_w = 3;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& x : {std::vector{nan, 1.f, 2.f}, {1.f, nan, 2.f}, {1.f, 2.f, nan}})
    EXPECT_TRUE(std::isnan(run(op, {1, 1, 3, 1}, x).y[0]));
}

TEST(MaxPool, ZeroPaddingWinsOverNegativeValuesAndTakesTheirGradient) {
  MaxPool op;
  op.window = Window::same(2);
  op.padding = PoolPadding::zero;
  const Ran ran = run(op, {1, 2, 2, 1}, {-4, -3, -2, -1});
  EXPECT_EQ(ran.y, (std::vector<float>{-1, 0, 0, 0}));
  EXPECT_EQ(ran.dx, (std::vector<float>{0, 0, 0, 1}));
}

TEST(L2Normalize, KeepsARowOfZerosFinite) {
  const Ran ran = run(L2Normalize(), {1, 3}, {0, 0, 0});
  for (const float y : ran.y) EXPECT_EQ(y, 0);
  for (const float dx : ran.dx) EXPECT_NEAR(dx * L2Normalize::kEps, 1, 1e-6);
}

TEST(VectorMath, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  for (double x = -87; x <= 88; x += 0.00137) {
    const float at = static_cast<float>(x);
    const double want = std::exp(static_cast<double>(at));
    ASSERT_NEAR(static_cast<double>(vector_exp(at)) / want, 1, 2.4e-7) << x;
  }
}

TEST(VectorMath, ExponentialKeepsNanAndStaysFinite) {
  EXPECT_TRUE(std::isnan(vector_exp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isfinite(vector_exp(std::numeric_limits<float>::infinity())));
  EXPECT_LT(vector_exp(-std::numeric_limits<float>::infinity()), 2e-38f);
}

TEST(VectorMath, ErrorFunctionIsTrueToSinglePrecision) {
  constexpr double kTolerance =
      3 * 0x1p-23;  // 1.5e-7 of the formula, and roundings that depend on fused products
  for (double x = -6; x <= 6; x += 0.00011) {
    const float at = static_cast<float>(x);
    ASSERT_NEAR(static_cast<double>(vector_erf(at)), std::erf(static_cast<double>(at)), kTolerance) << x;
  }
}

}  // namespace
}  // namespace kindred
