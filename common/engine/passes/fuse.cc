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

/// What `next` and all that it reads can become: the ops that give its inputs, when they are branches.
std::shared_ptr<const Op> merged_op(const Graph& graph, const std::vector<int>& readers, const Node& next) {
  if (next.inputs.size() < 2) return nullptr;
  std::vector<const Op*> branches;
  const Node& first = graph.nodes()[static_cast<size_t>(next.inputs[0].id)];
  for (const Value input : next.inputs) {
    const Node& branch = graph.nodes()[static_cast<size_t>(input.id)];
    if (!branch.op || branch.inputs.size() != 1 || branch.inputs[0].id != first.inputs[0].id) return nullptr;
    if (readers[static_cast<size_t>(input.id)] != 1) return nullptr;
    branches.push_back(branch.op.get());
  }
  return next.op->merged_with(branches);
}

/// `next` becomes itself and its branches.
void merge_branches(const Graph& graph, std::shared_ptr<const Op> merged, Node& next) {
  std::vector<Param> parameters;
  Value source;
  for (const Value input : next.inputs) {
    const Node& branch = graph.nodes()[static_cast<size_t>(input.id)];
    source = branch.inputs[0];
    parameters.insert(parameters.end(), branch.parameters.begin(), branch.parameters.end());
  }
  next.op = std::move(merged);
  next.inputs = {source};
  next.parameters.insert(next.parameters.begin(), parameters.begin(), parameters.end());
  KINDRED_ASSERT(next.op->output_shape({&graph.shape(source), 1}) == next.shape);
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
  std::vector<int> readers = count_readers(graph);
  int merged = 0;
  for (Node& next : graph.nodes()) {
    if (std::shared_ptr<const Op> op = merged_op(graph, readers, next)) {
      const int branches = static_cast<int>(next.inputs.size());
      merge_branches(graph, std::move(op), next);
      readers[static_cast<size_t>(next.inputs[0].id)] -= branches - 1;
      merged += branches;
    }
    for (size_t k = 0; k < next.inputs.size();) {
      const Node& first = graph.nodes()[static_cast<size_t>(next.inputs[k].id)];
      const bool only_reader = first.op && readers[static_cast<size_t>(next.inputs[k].id)] == 1;
      std::shared_ptr<const Op> fused =
          only_reader ? first.op->fused_with(*next.op, static_cast<int>(k)) : nullptr;
      if (!fused) {
        ++k;
        continue;
      }
      merge(graph, first, std::move(fused), k, next);  // moves readings and makes none
      ++merged;
      k = 0;  // the new op may fuse with what it reads now
    }
  }
  graph.drop_unused();
  return merged;
}

}  // namespace kindred
