#include "common/engine/passes/fuse.h"

namespace kindred {
namespace {

std::vector<int> count_readers(const Graph& graph) {
  std::vector<int> readers(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const Value input : node.inputs) ++readers[static_cast<size_t>(input.id)];
  }
  for (const auto& [name, value] : graph.outputs()) ++readers[static_cast<size_t>(value.id)];
  return readers;
}

/// `next`, which reads `first` as input number `input`, becomes both.
void merge(const Graph& graph, const Node& first, std::shared_ptr<const Op> fused, size_t input, Node& next) {
  std::vector<Value> inputs = first.inputs;
  for (size_t k = 0; k < next.inputs.size(); ++k) {
    if (k != input) inputs.push_back(next.inputs[k]);
  }
  std::vector<Shape> shapes;
  for (const Value value : inputs) shapes.push_back(graph.shape(value));
  KINDRED_ASSERT(fused->output_shape(shapes) == next.shape);
  next.op = std::move(fused);
  next.inputs = std::move(inputs);
  next.parameters.insert(next.parameters.begin(), first.parameters.begin(), first.parameters.end());
  next.name = first.name;  // of a convolution and what follows it, the convolution is what one looks for
}

}  // namespace

int fuse(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);  // merging moves readings and makes none
  int merged = 0;
  for (Node& next : graph.nodes()) {
    for (size_t k = 0; k < next.inputs.size();) {
      const Node& first = graph.nodes()[static_cast<size_t>(next.inputs[k].id)];
      const bool only_reader = first.op && readers[static_cast<size_t>(next.inputs[k].id)] == 1;
      std::shared_ptr<const Op> fused =
          only_reader ? first.op->fused_with(*next.op, static_cast<int>(k)) : nullptr;
      if (!fused) {
        ++k;
        continue;
      }
      merge(graph, first, std::move(fused), k, next);
      ++merged;
      k = 0;  // the new op may fuse with what it reads now
    }
  }
  graph.drop_unused();
  return merged;
}

}  // namespace kindred
