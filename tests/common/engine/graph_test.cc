#include "common/engine/graph.h"
#include "tests/support/error_of.h"

#include <gtest/gtest.h>

#include "tests/support/toy_ops.h"

namespace kindred {
namespace {

using test::error_of;

using test::toy;
using test::toy_scale;

TEST(Graph, NamesParametersAndNodesByScope) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("x", {2, 3});
  {
    const auto stage = graph.scope("stages.0");
    {
      const auto block = graph.scope("block");
      toy_scale(graph, x);
    }
    toy_scale(graph, x);
  }
  toy<test::ToySine>(graph, {x});
  EXPECT_TRUE(parameters.contains("stages.0.block.weight"));
  EXPECT_TRUE(parameters.contains("stages.0.weight"));
  EXPECT_EQ(graph.nodes()[1].name, "stages.0.block");
  EXPECT_EQ(graph.nodes()[2].name, "stages.0");
  EXPECT_EQ(graph.nodes()[3].name, "toy_sine") << "without a scope, the op's";
}

TEST(Graph, SharesParametersWithASecondGraph) {
  ParameterSet parameters;
  const auto stream = make_stream({});
  Graph train(parameters), evaluation(parameters), other(parameters), surplus(parameters);
  toy_scale(train, train.input("x", {8, 3}));
  parameters.freeze(*stream);
  toy_scale(evaluation, evaluation.input("x", {1, 3}));
  EXPECT_EQ(parameters.count(), 1);
  EXPECT_EQ(error_of([&] {
              toy_scale(other, other.input("x", {1, 4}));
            }),
            "parameter 'weight' has shape [3], another use of it needs [4]");
  const auto scope = surplus.scope("more");
  EXPECT_EQ(error_of([&] {
              toy_scale(surplus, surplus.input("x", {1, 3}));
            }),
            "parameter 'more.weight' is not among the weights this graph is built over");
}

TEST(Graph, PutsTheNodeBeforeErrorsOfShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value a = graph.input("a", {2, 3}), b = graph.input("b", {2, 4});
  const auto scope = graph.scope("stages.1.add");
  EXPECT_EQ(error_of([&] {
              toy<test::ToyAdd>(graph, {a, b});
            }),
            "stages.1.add: toy_add expects two inputs of one shape");
}

TEST(Graph, RefusesANameTwice) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("x", {2, 3});
  graph.output("y", x);
  EXPECT_EQ(error_of([&] { graph.input("x", {2, 3}); }), "the graph has two inputs named 'x'");
  EXPECT_EQ(error_of([&] { graph.output("y", x); }), "the graph has two outputs named 'y'");
}

TEST(Graph, DropsWhatNoOutputReads) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value unread = graph.input("unread", {1, 3}), x = graph.input("x", {2, 3});
  const Value dead = toy<test::ToySine>(graph, {unread});
  toy<test::ToySine>(graph, {dead});
  const Value y = toy<test::ToyAdd>(graph, {x, toy<test::ToySigmoid>(graph, {x})});
  graph.output("y", y);
  graph.drop_unused();
  ASSERT_EQ(graph.nodes().size(), 4u);
  EXPECT_EQ(graph.outputs()[0].second.id, 3);
  EXPECT_EQ(graph.inputs()[1].second.id, 1);
  EXPECT_EQ(graph.nodes()[3].inputs[1].id, 2);
  EXPECT_EQ(graph.nodes()[3].inputs[0].id, 1);
}

TEST(Graph, DumpsATableAndCountsWork) {
  ParameterSet parameters;
  Graph graph(parameters);
  const Value x = graph.input("image", {1000, 3});
  const auto scope = graph.scope("stem");
  graph.output("y", toy_scale(graph, x));
  EXPECT_EQ(graph.macs(), 3000);
  const std::string dump = graph.dump();
  for (const char* word : {"image", "stem", "toy_scale", "scales=1", "[1000,3]"}) {
    EXPECT_NE(dump.find(word), std::string::npos) << word << " in\n" << dump;
  }
}

}  // namespace
}  // namespace kindred
