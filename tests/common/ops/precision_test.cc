// Programs that compute in bf16: where casts stand, what is stored as what, and that it computes the same.
#include "common/engine/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/philox.h"
#include "common/engine/program.h"
#include "common/ops/activation.h"
#include "common/ops/add.h"
#include "common/ops/batch_norm.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/l2_normalize.h"
#include "common/ops/linear.h"
#include "tests/support/toy_ops.h"

namespace kindred {
namespace {

/// A small network with every kind of kernel: image -> unit rows.
struct Network {
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  Graph graph{parameters};

  Network() {
    Value x = graph.input("image", {4, 12, 12, 3});
    x = conv2d(graph, x, {.outputs = 32, .window = Window::same(3, 2)}, "stem");
    x = batch_norm(graph, x, {.activation = Activation::relu}, "stem_norm");
    const Value skip = x;
    x = depthwise_conv2d(graph, x, {.window = Window::same(3)}, "depthwise");
    x = batch_norm(graph, x, {.activation = Activation::hardswish, .residual = skip}, "depthwise_norm");
    x = linear(graph, global_average_pool(graph, x), {.outputs = 16}, "neck");
    graph.output("embedding", l2_normalize(graph, x));
    parameters.freeze(*stream);
    parameters.initialize(5);
  }

  std::unique_ptr<Program> compile(DType compute, bool training) {
    auto program =
        std::make_unique<Program>(graph, *stream, CompileOptions{.training = training, .compute = compute});
    const Tensor image = program->input("image");
    Random random(3, {});
    for (int64_t i = 0; i < image.elements(); ++i) image.f32()[i] = static_cast<float>(random.uniform(-2, 2));
    return program;
  }
};

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i)
    ab += static_cast<double>(a[i]) * b[i], aa += static_cast<double>(a[i]) * a[i],
        bb += static_cast<double>(b[i]) * b[i];
  return ab / std::sqrt(aa * bb);
}

std::span<const float> values_of(const Tensor& tensor) {
  return {tensor.f32(), static_cast<size_t>(tensor.elements())};
}

TEST(Precision, CastsStandWhereTheTypesMeetAndAreShared) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("x", {2, 3});
  const Value a = test::toy<test::ToySine>(graph, {x}), b = test::toy<test::ToySine>(graph, {x});
  graph.output("y", test::toy<test::ToyAdd>(graph, {a, b}));
  set_precision(graph, DType::bf16);
  std::vector<std::string> found;
  for (const Node& node : graph.nodes())
    found.push_back(concat(node.op ? node.op->type() : "input", " ", dtype_text(node.dtype)));
  EXPECT_THAT(found, testing::ElementsAre("input f32", "cast bf16", "toy_sine bf16", "toy_sine bf16",
                                          "cast f32", "cast f32", "toy_add f32"));
  EXPECT_EQ(graph.nodes()[2].inputs[0].id, 1);
  EXPECT_EQ(graph.nodes()[3].inputs[0].id, 1) << "both readers of x read one cast";
}

TEST(Precision, OfFp32LeavesTheGraphAsItIs) {
  Network network;
  const size_t nodes = network.graph.nodes().size();
  set_precision(network.graph, DType::f32);
  EXPECT_EQ(network.graph.nodes().size(), nodes);
}

TEST(Precision, RefusesOtherTypes) {
  Network network;
  EXPECT_THROW(set_precision(network.graph, DType::f16), Error);
}

TEST(Precision, NamesAKernelThatHasNoBf16) {
  const auto stream = make_stream({});
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("x", {2, 3});
  graph.output("y", test::toy<test::ToySine>(graph, {test::toy<test::ToySine>(graph, {x})}));
  parameters.freeze(*stream);
  try {
    Program program(graph, *stream, {.compute = DType::bf16});
    FAIL() << "compiled";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("no cpu kernel for op 'toy_sine' in bf16"));
  }
}

TEST(Precision, InferenceGivesNearlyTheSameUnitRows) {
  Network network;
  const auto wide = network.compile(DType::f32, false), narrow = network.compile(DType::bf16, false);
  wide->forward(), narrow->forward();
  const Tensor expected = wide->output("embedding"), got = narrow->output("embedding");
  ASSERT_EQ(got.dtype(), DType::f32);
  for (int64_t r = 0; r < 4; ++r) {
    const auto row = values_of(got.slice(r, 1));
    EXPECT_GT(cosine(row, values_of(expected.slice(r, 1))), 0.9999);
    EXPECT_NEAR(cosine(row, row), 1, 1e-6);
    double length = 0;
    for (const float v : row) length += static_cast<double>(v) * v;
    EXPECT_NEAR(length, 1, 1e-6) << "the norm is taken in fp32";
  }
}

TEST(Precision, TrainingGivesNearlyTheSameGradientsAndStatistics) {
  Network wide, narrow;
  for (Network* network : {&wide, &narrow}) {
    const auto program = network->compile(network == &wide ? DType::f32 : DType::bf16, true);
    network->stream->zero(network->parameters.gradients());
    program->forward();
    const Tensor gradient = program->output_gradient("embedding");
    ASSERT_EQ(gradient.dtype(), DType::f32);
    Random random(8, {});
    for (int64_t i = 0; i < gradient.elements(); ++i)
      gradient.f32()[i] = static_cast<float>(random.uniform(-1, 1));
    program->backward();
  }
  EXPECT_GT(cosine(values_of(wide.parameters.gradients()), values_of(narrow.parameters.gradients())), 0.999);
  EXPECT_GT(cosine(values_of(wide.parameters.buffers()), values_of(narrow.parameters.buffers())), 0.9999);
  const auto before = values_of(wide.parameters.values()), after = values_of(narrow.parameters.values());
  EXPECT_TRUE(std::ranges::equal(before, after)) << "the weights themselves are fp32 and stay as they are";
}

TEST(Precision, HalvesWhatValuesTake) {
  Network network;
  const auto buffers = [&](DType compute) {
    const PlanReport plan = network.compile(compute, true)->plan();
    return static_cast<double>(plan.bytes_without_reuse - plan.scratch_bytes);
  };
  EXPECT_LT(buffers(DType::bf16), 0.6 * buffers(DType::f32));
}

TEST(Precision, TheFirstBadNodeIsFoundInBf16) {
  Network network;
  const auto program = network.compile(DType::bf16, true);
  program->input("image").f32()[7] = NAN;
  program->forward();
  EXPECT_EQ(program->first_bad_node(), "image");
  program->input("image").f32()[7] = 0;
  network.parameters.value(network.parameters.find("depthwise.weight")).f32()[0] = INFINITY;
  network.parameters.touch();
  program->forward();
  EXPECT_EQ(program->first_bad_node(), "depthwise");
}

/// x -> bf16 and back, twice; only the casts round.
TEST(Precision, CastsRoundForwardAndAddTheirGradients) {
  const auto stream = make_stream({});
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("x", {1, 4});
  const Param scale = graph.parameter("scale", {4}, Init::value(1));
  const Value y = graph.apply(std::make_shared<test::ToyScale>(), {x}, {scale});
  graph.output("y", y);
  graph.output("z", add(graph, {add(graph, {y, y}), y}));
  parameters.freeze(*stream);
  parameters.initialize(1);
  Program program(graph, *stream, {.training = true, .compute = DType::bf16});
  const std::vector<float> values{1, 1.00390625f, 3.14159274f, -1e-3f};
  std::copy(values.begin(), values.end(), program.input("x").f32());
  program.forward();
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(program.output("y").f32()[i], values[i]) << "an output is not rounded";
    const float narrow = BFloat16(values[i]), sum = BFloat16(narrow + narrow);
    EXPECT_EQ(program.output("z").f32()[i], sum + values[i]) << "what lies between is";
  }
  std::fill_n(program.output_gradient("z").f32(), 4, 1.0f);
  std::fill_n(program.output_gradient("y").f32(), 4, 0.5f);
  program.backward();
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_FLOAT_EQ(parameters.gradient(scale).f32()[i], 3.5f * values[i]);
}

}  // namespace
}  // namespace kindred
