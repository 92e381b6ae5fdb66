// Optimisers against steps worked out by hand, every parameter being 1 with gradient 0.5 unless said.
#include "trainer/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/parallel.h"
#include "tests/trainer/optim/optim_runner.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred::test {
namespace {

void expect_all(const Tensor& tensor, double value) {
  for (int64_t i = 0; i < tensor.elements(); ++i) ASSERT_NEAR(tensor.f32()[i], value, 1e-6) << i;
}

TEST(Sgd, DecaysThroughTheGradientAsPyTorchDoes) {
  Network net;
  net.set(1, 0.5f);
  const auto sgd = net.make("sgd", {"sgd.momentum=0.9", "sgd.weight_decay=0.1"});
  sgd->step(*net.stream, 0.2, 1);
  // weight: v = 0.5 + 0.1, w = 1 - 0.2 * 0.6. bias: v = 0.5. slow: the weight's step at 0.02.
  expect_all(net.parameters.value(net.weight), 0.88);
  expect_all(net.parameters.value(net.bias), 0.9);
  expect_all(net.parameters.value(net.slow), 0.988);
  sgd->step(*net.stream, 0.2, 1);
  // v = 0.9 * 0.6 + 0.5 + 0.1 * 0.88 = 1.128.
  expect_all(net.parameters.value(net.weight), 0.88 - 0.2 * 1.128);
  expect_all(net.parameters.value(net.bias), 0.9 - 0.2 * 0.95);
}

TEST(Sgd, NesterovLooksAhead) {
  Network net;
  net.set(1, 0.5f);
  const auto sgd = net.make("sgd", {"sgd.momentum=0.9", "sgd.nesterov=true", "sgd.weight_decay=0"});
  sgd->step(*net.stream, 0.1, 1);
  expect_all(net.parameters.value(net.bias), 1 - 0.1 * (0.5 + 0.9 * 0.5));
  sgd->step(*net.stream, 0.1, 1);
  expect_all(net.parameters.value(net.bias), 0.905 - 0.1 * (0.5 + 0.9 * 0.95));
}

TEST(Sgd, DecoupledDecayStaysOutOfTheVelocity) {
  Network net;
  net.set(1, 0.5f);
  const auto sgd = net.make("sgd", {"sgd.momentum=0.9", "sgd.weight_decay=0.1", "sgd.decoupled=true"});
  sgd->step(*net.stream, 0.2, 1);
  sgd->step(*net.stream, 0.2, 1);
  // First 1 - 0.2 * (0.5 + 0.1) = 0.88, then v = 0.95: 0.88 - 0.2 * (0.95 + 0.1 * 0.88).
  expect_all(net.parameters.value(net.weight), 0.88 - 0.2 * 1.038);
}

TEST(Sgd, DecaysBiasesButNotNormsWhenAskedTo) {
  Network net;
  net.set(1, 0.5f);
  const auto sgd = net.make("sgd", {"sgd.weight_decay=0.1", "sgd.decay_biases=true"});
  sgd->step(*net.stream, 0.2, 1);
  expect_all(net.parameters.value(net.weight), 0.88);
  expect_all(net.parameters.value(net.bias), 0.88);
  expect_all(net.parameters.value(net.norm), 0.9);
}

TEST(AdamW, DecaysBiasesButNotNormsWhenAskedTo) {
  Network net;
  net.set(1, 0.5f);
  const auto adamw = net.make("adamw", {"adamw.weight_decay=0.1", "adamw.decay_biases=true"});
  adamw->step(*net.stream, 0.01, 1);
  expect_all(net.parameters.value(net.bias), 1 - 0.01 * 0.1 - 0.01);
  expect_all(net.parameters.value(net.norm), 1 - 0.01);
}

TEST(AdamW, FirstStepIsTheRateWhateverTheGradient) {
  Network net;
  net.set(1, 0.5f);
  const auto adamw = net.make("adamw", {"adamw.weight_decay=0.1"});
  adamw->step(*net.stream, 0.01, 1);
  expect_all(net.parameters.value(net.weight), 1 - 0.01 * 0.1 - 0.01);
  expect_all(net.parameters.value(net.bias), 1 - 0.01);
  expect_all(net.parameters.value(net.slow), 1 - 0.001 * 0.1 - 0.001);
}

TEST(AdamW, SecondStepUsesCorrectedMoments) {
  Network net;
  net.set(1, 0.5f);
  const auto adamw = net.make("adamw", {"adamw.weight_decay=0", "adamw.beta1=0.8", "adamw.beta2=0.9"});
  adamw->step(*net.stream, 0.01, 1);
  net.fill(net.parameters.gradient(net.bias), -0.2f);
  adamw->step(*net.stream, 0.01, 1);
  // m = 0.8 * 0.1 + 0.2 * -0.2 = 0.04, over 1 - 0.64; v = 0.9 * 0.025 + 0.1 * 0.04 = 0.0265, over 1 - 0.81.
  expect_all(net.parameters.value(net.bias), 0.99 - 0.01 * (0.04 / 0.36) / std::sqrt(0.0265 / 0.19));
}

TEST(AdamW, EpsilonStandsOutsideTheRoot) {
  Network net;
  net.set(1, 0.5f);
  const auto adamw = net.make("adamw", {"adamw.weight_decay=0", "adamw.epsilon=0.5"});
  adamw->step(*net.stream, 0.01, 1);
  expect_all(net.parameters.value(net.bias), 1 - 0.01 * 0.5 / (0.5 + 0.5));
}

TEST(EveryOptimizer, ScalesGradientsForClipping) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Network scaled, small;
    scaled.set(1, 0.5f);
    small.set(1, 0.05f);
    const auto one = scaled.make(name, {"adamw.epsilon=0.1"}),
               other = small.make(name, {"adamw.epsilon=0.1"});
    one->step(*scaled.stream, 0.1, 0.1);
    other->step(*small.stream, 0.1, 1);
    EXPECT_LT(scaled.parameters.value(scaled.bias).f32()[0], 1);
    expect_all(scaled.parameters.value(scaled.bias), small.parameters.value(small.bias).f32()[0]);
  }
}

TEST(EveryOptimizer, ContinuesFromItsSlotsToTheBit) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Network through, resumed;
    through.set(1, 0.5f);
    const auto first = through.make(name, {});
    for (int step = 0; step < 3; ++step) first->step(*through.stream, 0.1, 1);
    resumed.set(0, 0.5f);
    const auto second = resumed.make(name, {});
    resumed.stream->copy(resumed.parameters.values(), through.parameters.values());
    const auto from = first->slots(), to = second->slots();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) resumed.stream->copy(to[i].second, from[i].second);
    second->set_steps_done(first->steps_done());
    first->step(*through.stream, 0.1, 1);
    second->step(*resumed.stream, 0.1, 1);
    EXPECT_EQ(second->steps_done(), 4);
    const Tensor a = through.parameters.values(), b = resumed.parameters.values();
    for (int64_t i = 0; i < a.elements(); ++i) ASSERT_EQ(a.f32()[i], b.f32()[i]) << i;
  }
}

TEST(EveryOptimizer, KeepsPaddingZeroAndTellsKernels) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Network net;
    net.set(1, 0.5f);
    const auto optimizer = net.make(name, {});
    const int64_t version = net.parameters.version();
    optimizer->step(*net.stream, 0.1, 1);
    EXPECT_GT(net.parameters.version(), version);
    const Tensor values = net.parameters.values();
    int64_t zeros = 0;
    for (int64_t i = 0; i < values.elements(); ++i) zeros += values.f32()[i] == 0;
    EXPECT_EQ(zeros, values.elements() - net.parameters.trainable_elements());
  }
}

TEST(EveryOptimizer, RefusesNumbersThatAreNotFinite) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Network net;
    net.set(1, 0.5f);
    const auto optimizer = net.make(name, {});
    EXPECT_THROW(optimizer->step(*net.stream, 0.1, std::nan("")), Error);
    EXPECT_THROW(optimizer->step(*net.stream, INFINITY, 1), Error);
    EXPECT_EQ(optimizer->steps_done(), 0);
    expect_all(net.parameters.value(net.weight), 1);
  }
}

// A classifier of five rows on one rank, of which a step brings gradients of some.
struct Classifier {
  Classifier() {
    ParamInfo info;
    info.name = "centres";
    info.file_shape = Shape{5, 3};
    info.init = Init::value(1);
    info.sharded = true;
    centres = parameters.add(info);
    parameters.freeze(*stream);
    parameters.initialize(1);
  }

  void bring(std::vector<int64_t> rows, float gradient) {
    const Tensor ids(Shape{static_cast<int64_t>(rows.size())}, DType::i64);
    const Tensor values(Shape{ids.elements(), 3});
    std::ranges::copy(rows, ids.data<int64_t>());
    std::fill_n(values.f32(), values.elements(), gradient);
    parameters.set_row_gradients(centres, {ids, values});
  }
  float row(int64_t r) const { return parameters.value(centres).f32()[3 * r + 2]; }

  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  Param centres;
};

TEST(EveryOptimizer, LeavesRowsWithoutGradientAlone) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Classifier net;
    const auto optimizer = optimizer_registry().get(name).make.make(
        optim_options({"sgd.weight_decay=0.1", "adamw.weight_decay=0.1"}), net.parameters, *net.stream);
    net.bring({1, 3}, 0.5f);
    optimizer->step(*net.stream, 0.1, 1);
    net.bring({3}, 0.5f);
    const float once = net.row(1);
    optimizer->step(*net.stream, 0.1, 1);
    EXPECT_LT(once, 1);
    EXPECT_EQ(net.row(1), once);  // neither momentum nor decay moved it
    EXPECT_LT(net.row(3), once);
    for (const int64_t still : {0, 2, 4}) EXPECT_EQ(net.row(still), 1);
  }
}

TEST(EveryOptimizer, StepsRowsAsItStepsFlatValues) {
  for (const std::string& name : optimizer_registry().names()) {
    SCOPED_TRACE(name);
    Classifier rows;
    Network flat;
    const Options options = optim_options({});
    const auto one = optimizer_registry().get(name).make.make(options, rows.parameters, *rows.stream);
    const auto other = optimizer_registry().get(name).make.make(options, flat.parameters, *flat.stream);
    flat.set(1, 0.5f);
    rows.bring({0, 1, 2, 3, 4}, 0.5f);
    for (int step = 0; step < 3; ++step) {
      one->step(*rows.stream, 0.1, 0.7);
      other->step(*flat.stream, 0.1, 0.7);
    }
    EXPECT_EQ(rows.row(4), flat.parameters.value(flat.weight).f32()[0]);
  }
}

TEST(EveryOptimizer, NamesTheSlotsOfSharded) {
  Classifier net;
  const auto adamw =
      optimizer_registry().get("adamw").make.make(optim_options({}), net.parameters, *net.stream);
  const std::vector<ShardSlot> slots = adamw->shard_slots();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0].name, "first_moment");
  EXPECT_EQ(slots[1].name, "second_moment");
  EXPECT_EQ(slots[1].tensor.shape(), (Shape{5, 3}));
}

TEST(EveryOptimizer, ChecksItsOptions) {
  Network net;
  for (const char* setting : {"sgd.momentum=1", "sgd.momentum=-0.1", "sgd.weight_decay=-1"}) {
    EXPECT_THROW(net.make("sgd", {setting}), UsageError) << setting;
  }
  for (const char* setting :
       {"adamw.beta1=1", "adamw.beta2=-0.5", "adamw.epsilon=0", "adamw.weight_decay=-1"}) {
    EXPECT_THROW(net.make("adamw", {setting}), UsageError) << setting;
  }
}

double norm_of(const Network& net) {
  return gradient_norm(*net.stream, *make_self_communicator(), net.parameters);
}

TEST(GradientNorm, IsTheRootOfTheSumOfSquares) {
  Network net;
  net.set(1, 0.5f);
  EXPECT_DOUBLE_EQ(norm_of(net), std::sqrt(32 * 0.25));
  net.fill(net.parameters.gradient(net.bias), 1e25f);  // a square that float cannot hold
  EXPECT_NEAR(norm_of(net), 1e25 * std::sqrt(5.0), 1e19);
  net.parameters.gradient(net.bias).f32()[2] = std::nanf("");
  EXPECT_TRUE(std::isnan(norm_of(net)));
}

TEST(GradientNorm, CountsTheRowsOfAllRanks) {
  run_thread_ranks(3, [](Communicator& communicator) {
    Classifier net;
    if (communicator.rank() > 0) net.bring({2}, static_cast<float>(communicator.rank()));
    EXPECT_DOUBLE_EQ(gradient_norm(*net.stream, communicator, net.parameters), std::sqrt(3 * 1 + 3 * 4));
  });
}

TEST(GradientNorm, DoesNotDependOnTheThreads) {
  const std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  ParamInfo info;
  info.name = "weight";
  info.file_shape = Shape{100003};
  const Param weight = parameters.add(info);
  parameters.freeze(*stream);
  for (int64_t i = 0; i < 100003; ++i) parameters.gradient(weight).f32()[i] = std::sin(static_cast<float>(i));
  const int threads = thread_count();
  set_thread_count(1);
  const double one = gradient_norm(*stream, *make_self_communicator(), parameters);
  set_thread_count(3);
  EXPECT_EQ(gradient_norm(*stream, *make_self_communicator(), parameters), one);
  set_thread_count(threads);
}

}  // namespace
}  // namespace kindred::test
