#include "common/ops/network_convolutions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/engine/roofline.h"
#include "common/ops/activation.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"

namespace kindred {
namespace {

using testing::ElementsAre;

std::vector<std::string> texts(const std::vector<NetworkConvolution>& convolutions) {
  std::vector<std::string> all;
  for (const auto& [convolution, uses, node] : convolutions)
    all.push_back(concat(uses, "x ", node, ": ", convolution));
  return all;
}

/// A stem with uneven padding, a depthwise layer, two equal layers of two groups.
Graph small_network(ParameterSet& parameters) {
  Graph graph(parameters);
  Value x = graph.input("image", {2, 8, 6, 3});
  x = conv2d(graph, x, {.outputs = 4, .window = Window::same(2, 1)}, "stem");
  x = depthwise_conv2d(graph, x, {.window = Window::same(3)}, "depthwise");
  x = conv2d(graph, x, {.outputs = 4, .window = Window::same(3), .groups = 2}, "a");
  x = conv2d(graph, x, {.outputs = 4, .window = Window::same(3), .groups = 2}, "b");
  graph.output("y", x);
  return graph;
}

TEST(NetworkConvolutions, AreThoseOfAllPassesEachOnce) {
  ParameterSet parameters;
  const Graph graph = small_network(parameters);
  const std::string stem = " bf16 x[2,8,6,3] w[4,2,2,3] y[2,8,6,4] s=1x1 p=0,0,1,1 g=1";
  const std::string grouped = " bf16 x[2,8,6,4] w[4,3,3,2] y[2,8,6,4] s=1x1 p=1,1,1,1 g=2";
  // No gradient to the image; the depthwise layer has kernels of our own.
  EXPECT_THAT(
      texts(network_convolutions(graph, DType::bf16, true)),
      ElementsAre("1x stem: forward" + stem, "1x stem: backward_weights" + stem, "2x a: forward" + grouped,
                  "2x a: backward_weights" + grouped, "2x a: backward_data" + grouped));
  EXPECT_THAT(texts(network_convolutions(graph, DType::bf16, false)),
              ElementsAre("1x stem: forward" + stem, "2x a: forward" + grouped));
}

TEST(NetworkConvolutions, CountTheirWork) {
  ParameterSet parameters;
  const Graph graph = small_network(parameters);
  int64_t forward = 0;
  for (const auto& [convolution, uses, node] : network_convolutions(graph, DType::f32, false)) {
    forward += uses * convolution.flops();
    EXPECT_FALSE(convolution.pointwise()) << convolution.text();
  }
  const int64_t depthwise = 2 * 2 * 8 * 6 * 4 * 9;
  EXPECT_EQ(forward + depthwise, 2 * graph.macs());

  ParameterSet other;
  Graph pointwise(other);
  const Value x = pointwise.input("image", {1, 4, 4, 8});
  pointwise.output("y", conv2d(pointwise, x, {.outputs = 16, .window = {}}, "one"));
  EXPECT_TRUE(network_convolutions(pointwise, DType::f32, false)[0].convolution.pointwise());
}

// One 1x1 convolution and a relu over 100 pixels, by hand; values are of 4 bytes.
TEST(Roofline, IsTheSlowerOfArithmeticAndMemoryOpByOp) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value image = graph.input("image", {1, 10, 10, 8});
  const Value wide = conv2d(graph, image, {.outputs = 16, .window = {}}, "conv");
  graph.output("y", activation(graph, wide, Activation::relu));

  DeviceDescription device;
  device.f32_flops = 10, device.bytes_per_s = 1;  // bytes decide
  const double in = 4 * 800, out = 4 * 1600, weights = 4 * 128, flops = 2 * 100 * 8 * 16;
  StepTime time = roofline(graph, device);
  EXPECT_DOUBLE_EQ(time.forward.bytes, in + weights + out + out + out);
  EXPECT_DOUBLE_EQ(time.forward.flops, flops);
  EXPECT_DOUBLE_EQ(time.forward.seconds, time.forward.bytes);
  EXPECT_EQ(time.forward.arithmetic_seconds, 0);
  // relu: its output's gradient, what it saved, its input's; convolution: one product, for the weights.
  EXPECT_DOUBLE_EQ(time.backward.bytes, 3 * out + (out + in + 2 * weights));
  EXPECT_DOUBLE_EQ(time.backward.flops, flops);

  device.f32_flops = 1e-3;  // flops decide where there are any
  time = roofline(graph, device);
  EXPECT_DOUBLE_EQ(time.forward.seconds, flops * 1e3 + 2 * out);
  EXPECT_DOUBLE_EQ(time.forward.arithmetic_seconds, flops * 1e3);
}

}  // namespace
}  // namespace kindred
