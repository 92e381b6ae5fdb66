#include "common/engine/passes/fuse.h"

#include <gtest/gtest.h>

#include "common/engine/program.h"
#include "tests/support/toy_ops.h"

namespace kindred {
namespace {

using test::toy;
using test::toy_scale;

class Fuse : public ::testing::Test {
 protected:
  Value scale(const std::string& scope, Value x) {
    const auto inside = graph_.scope(scope);
    return toy_scale(graph_, x);
  }
  std::vector<float> run(bool fuse) {
    if (!parameters_.frozen()) {
      parameters_.freeze(*stream_);
      parameters_.initialize(3);
    }
    CompileOptions options;
    options.fuse = fuse;
    Program program(graph_, *stream_, options);
    const Tensor x = program.input("x");
    for (int64_t i = 0; i < x.elements(); ++i) x.f32()[i] = static_cast<float>(i) / 10 - 1;
    program.forward();
    kernels_ = program.plan().kernels;
    const Tensor y = program.output("y");
    return {y.f32(), y.f32() + y.elements()};
  }
  void expect_fused_equals_plain(int kernels) {
    const std::vector<float> plain = run(false), fused = run(true);
    EXPECT_EQ(kernels_, kernels);
    ASSERT_EQ(plain.size(), fused.size());
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_FLOAT_EQ(plain[i], fused[i]);
  }

  std::unique_ptr<Stream> stream_ = make_stream({});
  ParameterSet parameters_;
  Graph graph_{parameters_};
  Value x_ = graph_.input("x", {3, 4});
  int kernels_ = 0;
};

TEST_F(Fuse, JoinsAChainIntoOneNode) {
  graph_.output("y", scale("c", scale("b", scale("a", x_))));
  expect_fused_equals_plain(1);
}

TEST_F(Fuse, PutsParametersInOrderAndKeepsTheFirstName) {
  graph_.output("y", scale("b", scale("a", x_)));
  EXPECT_EQ(fuse(graph_), 1);
  const Node& node = graph_.nodes().at(1);
  EXPECT_EQ(node.name, "a");
  EXPECT_EQ(node.op->attributes(), "scales=2");
  ASSERT_EQ(node.parameters.size(), 2u);
  EXPECT_EQ(parameters_.info(node.parameters[0]).name, "a.weight");
  EXPECT_EQ(parameters_.info(node.parameters[1]).name, "b.weight");
  EXPECT_EQ(graph_.outputs().at(0).second.id, 1);
}

TEST_F(Fuse, TakesAResidualOnEitherSide) {
  const Value a = scale("a", toy<test::ToySine>(graph_, {x_}));
  graph_.output("y", toy<test::ToyAdd>(graph_, {toy<test::ToySigmoid>(graph_, {a}), scale("b", a)}));
  expect_fused_equals_plain(4);  // sine, scale, sigmoid, scale and add in one
}

TEST_F(Fuse, LeavesAValueThatIsReadTwice) {
  const Value a = scale("a", x_);
  graph_.output("y", toy<test::ToyAdd>(graph_, {scale("b", a), toy<test::ToySine>(graph_, {a})}));
  expect_fused_equals_plain(3);
}

TEST_F(Fuse, LeavesAValueThatOneNodeReadsTwice) {
  const Value a = scale("a", x_);
  graph_.output("y", toy<test::ToyAdd>(graph_, {a, a}));
  expect_fused_equals_plain(2);
}

TEST_F(Fuse, LeavesAValueThatTheCallerReads) {
  const Value a = scale("a", x_);
  graph_.output("a", a);
  graph_.output("y", scale("b", a));
  expect_fused_equals_plain(2);
}

}  // namespace
}  // namespace kindred
