#include "common/engine/program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "common/base/philox.h"
#include "tests/support/error_of.h"
#include "tests/support/toy_ops.h"

namespace kindred {
namespace {

using test::error_of;

using test::toy;
using test::toy_scale;

Value scoped_scale(Graph& graph, const std::string& scope, Value x, bool trainable = true) {
  const auto inside = graph.scope(scope);
  return toy_scale(graph, x, trainable);
}

void fill_random(const Tensor& tensor, uint64_t seed) {
  Random random(seed, {0, 0, 0});
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.f32()[i] = static_cast<float>(random.uniform(-1, 1));
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.f32(), tensor.f32() + tensor.elements()};
}

class Programs : public ::testing::Test {
 protected:
  void compile(bool training) {
    if (!parameters_.frozen()) {
      parameters_.freeze(*stream_);
      parameters_.initialize(7);
    }
    CompileOptions options;
    options.training = training;
    program_ = std::make_unique<Program>(graph_, *stream_, options);
  }
  float weight(const std::string& name, int64_t c) const {
    return parameters_.value(parameters_.find(name)).f32()[c];
  }
  float weight_gradient(const std::string& name, int64_t c) const {
    return parameters_.gradient(parameters_.find(name)).f32()[c];
  }

  std::unique_ptr<Stream> stream_ = make_stream({});
  ParameterSet parameters_;
  Graph graph_{parameters_};
  std::unique_ptr<Program> program_;
};

TEST_F(Programs, RunAChainForwardAndBackward) {
  const Value x = graph_.input("x", {2, 3});
  graph_.output("y", toy<test::ToySine>(graph_, {scoped_scale(graph_, "a", x)}));
  compile(true);
  fill_random(program_->input("x"), 1);
  program_->forward();
  const float *in = program_->input("x").f32(), *out = program_->output("y").f32();
  for (int i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(out[i], std::sin(in[i] * weight("a.weight", i % 3)));
  fill_random(program_->output_gradient("y"), 2);
  const std::vector<float> dy = values_of(program_->output_gradient("y"));
  program_->backward();
  for (int c = 0; c < 3; ++c) {
    const float w = weight("a.weight", c);
    const float want = dy[c] * std::cos(in[c] * w) * in[c] + dy[c + 3] * std::cos(in[c + 3] * w) * in[c + 3];
    EXPECT_NEAR(weight_gradient("a.weight", c), want, 1e-6);
  }
}

TEST_F(Programs, AddIntoParameterGradients) {
  const Value x = graph_.input("x", {1, 1});
  graph_.output("y", scoped_scale(graph_, "a", x));
  compile(true);
  *program_->input("x").f32() = 3;
  for (int step = 1; step <= 2; ++step) {
    program_->forward();
    *program_->output_gradient("y").f32() = 2;
    program_->backward();
    EXPECT_EQ(weight_gradient("a.weight", 0), static_cast<float>(6 * step));
  }
}

TEST_F(Programs, SumTheGradientsOfAllReaders) {
  const Value x = graph_.input("x", {1, 2});
  const Value a = scoped_scale(graph_, "a", x);
  const Value twice = toy<test::ToyAdd>(graph_, {a, a});
  const Value thrice = toy<test::ToyAdd>(graph_, {twice, a});
  graph_.output("a", a);
  graph_.output("thrice", thrice);
  compile(true);
  program_->input("x").f32()[0] = 5;
  program_->forward();
  program_->output_gradient("thrice").f32()[0] = 1;
  program_->output_gradient("a").f32()[0] = 10;
  program_->backward();
  EXPECT_FLOAT_EQ(weight_gradient("a.weight", 0), 5 * (3 + 10));
}

TEST_F(Programs, CountAnUntouchedOutputGradientAsZero) {
  const Value x = graph_.input("x", {1, 1});
  graph_.output("p", scoped_scale(graph_, "p", x));
  graph_.output("q", scoped_scale(graph_, "q", x));
  compile(true);
  *program_->input("x").f32() = 1;
  program_->forward();
  *program_->output_gradient("p").f32() = 4;
  program_->backward();
  EXPECT_EQ(*program_->output_gradient("p").f32(), 0) << "backward uses the gradient up";
  program_->forward();
  *program_->output_gradient("q").f32() = 1;
  program_->backward();
  EXPECT_EQ(weight_gradient("p.weight", 0), 4);
  EXPECT_EQ(weight_gradient("q.weight", 0), 1);
}

TEST_F(Programs, SkipWhatIsNotTrainedOrLeadsNowhere) {
  const Value x = graph_.input("x", {1, 2});
  const Value fixed = toy<test::ToySquare>(graph_, {scoped_scale(graph_, "fixed", x, false)});
  const Value kept = scoped_scale(graph_, "kept", fixed);
  scoped_scale(graph_, "dead_end", kept);
  graph_.output("y", kept);
  compile(true);
  fill_random(program_->input("x"), 1);
  program_->forward();
  program_->output_gradient("y").f32()[0] = 1;
  program_->backward();
  EXPECT_NE(weight_gradient("kept.weight", 0), 0);
  EXPECT_EQ(weight_gradient("dead_end.weight", 0), 0);
  EXPECT_EQ(program_->plan().kernels, 3);
}

TEST_F(Programs, TellWhenGradientsAreFinal) {
  Value x = graph_.input("x", {4, 5});
  for (const char* name : {"a", "b", "c"}) x = toy<test::ToySine>(graph_, {scoped_scale(graph_, name, x)});
  graph_.output("y", x);
  ParamInfo centers;  // of a loss: declared after the network, used outside the graph
  centers.name = "centers";
  centers.file_shape = {20};
  parameters_.add(centers);
  compile(true);
  fill_random(program_->input("x"), 1);
  program_->forward();
  fill_random(program_->output_gradient("y"), 2);
  std::vector<int64_t> told;
  std::vector<std::vector<float>> seen;
  program_->backward([&](int64_t final_elements) {
    told.push_back(final_elements);
    seen.push_back(values_of(parameters_.gradients()));
  });
  EXPECT_EQ(told, (std::vector<int64_t>{32, 48, 64, 80}));
  const std::vector<float> end = values_of(parameters_.gradients());
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_TRUE(std::equal(end.begin(), end.begin() + told[i], seen[i].begin()))
        << "changed after " << told[i];
  }
}

TEST_F(Programs, WaitForTheLastUseOfASharedParameter) {
  Value x = graph_.input("x", {1, 16});
  x = scoped_scale(graph_, "shared", x);
  x = scoped_scale(graph_, "other", x);
  x = scoped_scale(graph_, "shared", x);
  graph_.output("y", x);
  compile(true);
  program_->forward();
  std::vector<int64_t> told;
  program_->backward([&](int64_t final_elements) { told.push_back(final_elements); });
  EXPECT_EQ(told, (std::vector<int64_t>{16, 32})) << "other lies first, then shared";
}

TEST_F(Programs, GiveTheSameInTrainingAndInference) {
  Value x = graph_.input("x", {8, 6});
  const Value a = toy<test::ToySigmoid>(graph_, {scoped_scale(graph_, "a", x)});
  const Value b = toy<test::ToySquare>(graph_, {scoped_scale(graph_, "b", a)});
  graph_.output("y", toy<test::ToyAdd>(graph_, {a, b}));
  std::vector<std::vector<float>> results;
  for (const bool training : {true, false}) {
    compile(training);
    fill_random(program_->input("x"), 3);
    program_->forward();
    results.push_back(values_of(program_->output("y")));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(Programs, KeepTheirMemoryInPlace) {
  Value x = graph_.input("x", {64, 64});
  for (int i = 0; i < 12; ++i) {
    x = toy<test::ToySigmoid>(graph_, {scoped_scale(graph_, concat("layer", i), x)});
  }
  graph_.output("y", x);
  compile(true);
  const PlanReport plan = program_->plan();
  EXPECT_LT(plan.arena_bytes, plan.bytes_without_reuse * 7 / 10) << plan.text();
  EXPECT_GT(plan.scratch_bytes, 0);
  const void* const before = program_->output("y").raw();
  program_->forward();
  program_->backward();
  EXPECT_EQ(program_->output("y").raw(), before);
  compile(false);
  EXPECT_LT(program_->plan().arena_bytes, plan.arena_bytes / 2)
      << "inference forgets what backward would read";
}

TEST_F(Programs, NameTheFirstBadNode) {
  const Value x = graph_.input("x", {1, 2});
  const Value a = scoped_scale(graph_, "good", x);
  Value y;
  {
    const auto scope = graph_.scope("bad");
    y = toy<test::ToySquare>(graph_, {a});
  }
  graph_.output("y", scoped_scale(graph_, "later", y));
  compile(true);
  EXPECT_EQ(program_->first_bad_node(), "");
  program_->input("x").f32()[0] = 1;
  program_->forward();
  EXPECT_EQ(program_->first_bad_node(), "");
  program_->input("x").f32()[0] = 3e30f;
  program_->forward();
  EXPECT_EQ(program_->first_bad_node(), "bad");
  program_->input("x").f32()[1] = NAN;
  program_->forward();
  EXPECT_EQ(program_->first_bad_node(), "x");
}

TEST_F(Programs, ProfileEveryNode) {
  const Value x = graph_.input("x", {4, 4});
  graph_.output("y", toy<test::ToySine>(graph_, {scoped_scale(graph_, "a", x)}));
  compile(true);
  const std::vector<NodeTime> times = program_->profile(2);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].name, "a");
  EXPECT_EQ(times[1].op, "toy_sine");
  EXPECT_GT(times[0].forward_s, 0);
  EXPECT_GT(times[1].backward_s, 0);
}

TEST_F(Programs, SayWhatIsWrong) {
  const Value x = graph_.input("image", {4, 4});
  {
    const auto scope = graph_.scope("stages");
    const auto inner = graph_.scope("2");
    graph_.output("embedding", toy<test::ToyNowhere>(graph_, {x}));
  }
  EXPECT_EQ(error_of([&] { Program(graph_, *stream_, {}); }),
            "the parameters must be frozen before a graph is compiled");
  EXPECT_EQ(error_of([&] { compile(false); }), "no cpu kernel for op 'toy_nowhere' (node stages.2)");

  Graph fine(parameters_);
  fine.output("embedding", toy<test::ToySine>(fine, {fine.input("image", {4, 4})}));
  const Program program(fine, *stream_, {});
  EXPECT_EQ(error_of([&] { program.output("embeding"); }),
            "unknown output 'embeding'; did you mean 'embedding'? (known: embedding)");
  EXPECT_EQ(error_of([&] { program.input("img"); }).substr(0, 19), "unknown input 'img'");
}

/// A node of a random graph, evaluated once more in double without any reuse of memory.
struct Mirror {
  std::string type;
  std::vector<int> inputs;
  int parameter = -1;
  std::vector<double> value, gradient;
};

class RandomGraphs : public Programs, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int64_t kRows = 5, kCols = 6;

  void build(uint64_t seed) {
    Random random(seed, {4, 5, 6});
    mirrors_.push_back({"input", {}, -1, {}, {}});
    std::vector<Value> values{graph_.input("x", {kRows, kCols})};
    for (int i = 1; i < 30; ++i) {
      const auto pick = [&] { return static_cast<int>(std::max<int64_t>(random.below(i), random.below(i))); };
      const int from = pick(), other = pick();
      const auto in = values[static_cast<size_t>(from)];
      switch (random.below(5)) {
        case 0: {
          values.push_back(scoped_scale(graph_, concat("n", i), in));
          mirrors_.push_back({"scale", {from}, parameters_.count() - 1, {}, {}});
          break;
        }
        case 1:
          values.push_back(toy<test::ToyAdd>(graph_, {in, values[static_cast<size_t>(other)]}));
          mirrors_.push_back({"add", {from, other}, -1, {}, {}});
          break;
        case 2:
          values.push_back(toy<test::ToySine>(graph_, {in}));
          mirrors_.push_back({"sine", {from}, -1, {}, {}});
          break;
        case 3:
          values.push_back(toy<test::ToySigmoid>(graph_, {in}));
          mirrors_.push_back({"sigmoid", {from}, -1, {}, {}});
          break;
        default:
          values.push_back(toy<test::ToySquare>(graph_, {in}));
          mirrors_.push_back({"square", {from}, -1, {}, {}});
      }
    }
    for (const int i : {29, 28, 17}) graph_.output(concat("y", i), values[static_cast<size_t>(i)]);
  }

  void evaluate(const std::vector<float>& x, const std::map<int, std::vector<float>>& output_gradients) {
    for (Mirror& m : mirrors_) m.value.assign(kRows * kCols, 0), m.gradient.assign(kRows * kCols, 0);
    for (const auto& [i, gradient] : output_gradients) {
      mirrors_[static_cast<size_t>(i)].gradient.assign(gradient.begin(), gradient.end());
    }
    weight_gradients_.assign(static_cast<size_t>(parameters_.count()), std::vector<double>(kCols));
    for (size_t e = 0; e < kRows * kCols; ++e) {
      for (Mirror& m : mirrors_) {
        const auto in = [&](size_t k) { return mirrors_[static_cast<size_t>(m.inputs[k])].value[e]; };
        if (m.type == "input") m.value[e] = x[e];
        if (m.type == "scale") m.value[e] = in(0) * weight_of(m, e);
        if (m.type == "add") m.value[e] = in(0) + in(1);
        if (m.type == "sine") m.value[e] = std::sin(in(0));
        if (m.type == "sigmoid") m.value[e] = 1 / (1 + std::exp(-in(0)));
        if (m.type == "square") m.value[e] = in(0) * std::abs(in(0));
      }
      for (auto m = mirrors_.rbegin(); m != mirrors_.rend(); ++m) {
        const auto in = [&](size_t k) -> Mirror& { return mirrors_[static_cast<size_t>(m->inputs[k])]; };
        const double g = m->gradient[e], y = m->value[e];
        if (m->type == "scale") {
          weight_gradients_[static_cast<size_t>(m->parameter)][e % kCols] += g * in(0).value[e];
          in(0).gradient[e] += g * weight_of(*m, e);
        }
        if (m->type == "add") in(0).gradient[e] += g, in(1).gradient[e] += g;
        if (m->type == "sine") in(0).gradient[e] += g * std::cos(in(0).value[e]);
        if (m->type == "sigmoid") in(0).gradient[e] += g * y * (1 - y);
        if (m->type == "square") in(0).gradient[e] += 2 * g * std::abs(in(0).value[e]);
      }
    }
  }

  double weight_of(const Mirror& m, size_t e) const {
    return parameters_.value({m.parameter}).f32()[e % kCols];
  }

  std::vector<Mirror> mirrors_;
  std::vector<std::vector<double>> weight_gradients_;
};

TEST_P(RandomGraphs, EqualTheirEvaluationWithoutReuse) {
  build(static_cast<uint64_t>(GetParam()));
  compile(true);
  for (const uint64_t step : {1u, 2u}) {  // the second step finds the memory that the first one left
    stream_->zero(parameters_.gradients());
    fill_random(program_->input("x"), step);
    program_->forward();
    std::map<int, std::vector<float>> output_gradients;
    for (const int i : {29, 28, 17}) {
      const Tensor gradient = program_->output_gradient(concat("y", i));
      fill_random(gradient, 10 * step + static_cast<uint64_t>(i));
      output_gradients[i] = values_of(gradient);
    }
    evaluate(values_of(program_->input("x")), output_gradients);
    for (const int i : {29, 28, 17}) {
      const std::vector<double>& want = mirrors_[static_cast<size_t>(i)].value;
      const std::vector<float> got = values_of(program_->output(concat("y", i)));
      for (size_t e = 0; e < want.size(); ++e) ASSERT_NEAR(got[e], want[e], 1e-5 * (1 + std::abs(want[e])));
    }
    program_->backward();
    for (int p = 0; p < parameters_.count(); ++p) {
      double largest = 1;
      for (const double g : weight_gradients_[static_cast<size_t>(p)])
        largest = std::max(largest, std::abs(g));
      for (int64_t c = 0; c < kCols; ++c) {
        ASSERT_NEAR(parameters_.gradient({p}).f32()[c],
                    weight_gradients_[static_cast<size_t>(p)][static_cast<size_t>(c)], 2e-5 * largest);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range(1, 25));

}  // namespace
}  // namespace kindred
