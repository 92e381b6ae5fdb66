// A static graph. A model is a function that describes one; the graph is then compiled once per batch and
// image size into a Program. Nodes are in the order of their making, which is a legal order of running.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/engine/op.h"
#include "common/engine/parameters.h"

namespace kindred {

/// The result of a node.
struct Value {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
};

struct Node {
  std::shared_ptr<const Op> op;  // null for the graph's inputs
  std::vector<Value> inputs;
  std::vector<Param> parameters;
  Shape shape;
  std::string name;  // the scope: "stages.2.blocks.0.aggregation.0.conv", for errors, dumps and timing
  DType dtype = DType::f32;  // of the value and its gradient; see engine/precision.h
};

class Graph {
 public:
  explicit Graph(ParameterSet& parameters) : parameters_(&parameters) {}

  /// An input such as "image" [N,H,W,C], f32.
  Value input(const std::string& name, Shape shape);
  /// Declares a parameter under the current scope: scope "stem", name "conv.weight" -> "stem.conv.weight".
  /// When the set already holds that name (a second graph over the same weights) the shapes must agree and it
  /// is shared; Error otherwise, and for a new name over a set that is frozen.
  Param parameter(const std::string& name, Shape file_shape, Init init,
                  ParamLayout layout = ParamLayout::plain, bool decay = true, double lr_scale = 1);
  Param buffer(const std::string& name, Shape shape, Init init);
  /// The same with all that a parameter can be said to be; shape, offset and rows are computed.
  Param declare(ParamInfo info);
  /// Adds a node. Errors of the shape rule are rethrown with the node's name in front.
  Value apply(std::shared_ptr<const Op> op, std::vector<Value> inputs, std::vector<Param> parameters = {});
  /// Names a value that the caller wants to read, such as "embedding".
  void output(const std::string& name, Value value);

  /// Removes the nodes that no output depends on; inputs stay. Values from before are void: read outputs()
  /// again.
  void drop_unused();

  /// Puts `nodes` (whose inputs count among themselves) in place of all there are; place[i]: where node i
  /// went, -1 for gone. Values from before are void. Requires: inputs and outputs stay.
  void replace_nodes(std::vector<Node> nodes, std::span<const int> place);

  /// What holds for the parameters declared while the returned object lives.
  class [[nodiscard]] Scope {
   public:
    ~Scope();
    Scope(Scope&&) = delete;

   private:
    friend class Graph;
    Scope(Graph& graph, size_t prefix, double lr_scale)
        : graph_(&graph), prefix_(prefix), lr_scale_(lr_scale) {}
    Graph* graph_;
    size_t prefix_;  // what to go back to
    double lr_scale_;
  };
  /// A dotted prefix for parameter and node names.
  Scope scope(std::string_view name);
  /// A factor on the learning rate, times those of the scopes around.
  Scope lr_scope(double scale);

  const Shape& shape(Value value) const { return nodes_[static_cast<size_t>(value.id)].shape; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }
  const std::vector<std::pair<std::string, Value>>& inputs() const { return inputs_; }
  const std::vector<std::pair<std::string, Value>>& outputs() const { return outputs_; }
  ParameterSet& parameters() const { return *parameters_; }
  /// A table: node, op, shape, parameters, multiply-accumulates.
  std::string dump() const;
  int64_t macs() const;

 private:
  int64_t node_macs(const Node& node) const;

  ParameterSet* parameters_;
  std::vector<Node> nodes_;
  std::vector<std::pair<std::string, Value>> inputs_, outputs_;
  std::string prefix_;
  double lr_scale_ = 1;
};

}  // namespace kindred
