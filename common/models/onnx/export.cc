#include "common/models/onnx/export.h"

#include "common/engine/passes/fuse.h"
#include "common/models/onnx/lowering.h"
#include "common/ops/l2_normalize.h"

namespace kindred {

namespace {

constexpr const char *kImage = "image", *kExported = "exported";

Value value_of(const std::vector<std::pair<std::string, Value>>& named, const std::string& wanted) {
  std::vector<std::string> names;
  for (const auto& [name, value] : named) {
    if (name == wanted) return value;
    names.push_back(name);
  }
  fail(unknown_name_text("output", wanted, names));
}

/// The fused network with an output kExported that ends in an L2 norm or does not.
Graph exported_graph(const ModelConfig& config, ParameterSet& parameters, const std::string& output,
                     bool unit_rows) {
  Graph graph = build_model(parameters, config, 1);
  Value value = value_of(graph.outputs(), output);
  const Node& last = graph.nodes()[static_cast<size_t>(value.id)];
  const bool ends_in_norm = last.op->type() == "l2_normalize";
  if (ends_in_norm && !unit_rows) value = last.inputs[0];
  if (!ends_in_norm && unit_rows) value = l2_normalize(graph, value);
  graph.output(kExported, value);
  fuse(graph);
  return graph;
}

/// Which nodes a value depends on, itself included.
std::vector<bool> needed_for(const Graph& graph, Value value) {
  std::vector<bool> needed(graph.nodes().size());
  needed[static_cast<size_t>(value.id)] = true;
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Value input : graph.nodes()[i].inputs) needed[static_cast<size_t>(input.id)] = true;
  }
  return needed;
}

}  // namespace

std::string onnx_model(const ModelConfig& config, ParameterSet& parameters, const std::string& output,
                       bool unit_rows, std::map<std::string, std::string> metadata) {
  const Graph graph = exported_graph(config, parameters, output, unit_rows);
  const Value image = value_of(graph.inputs(), kImage), result = value_of(graph.outputs(), kExported);
  const std::vector<bool> needed = needed_for(graph, result);

  OnnxGraph onnx;
  const Shape& size = graph.shape(image);
  onnx.input(kImage, std::vector<int64_t>{OnnxGraph::kAnyBatch, size[3], size[1], size[2]});
  NodeLowering::Values values(graph.nodes().size());
  values[static_cast<size_t>(image.id)] = {kImage, Channels::first};
  for (size_t i = 0; i < values.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!needed[i] || !node.op) continue;
    NodeLowering lowering(graph, node, onnx, values);
    values[i] = lowering_registry().get(node.op->type()).make(*node.op, lowering);
  }
  onnx.node("Identity", output, {values[static_cast<size_t>(result.id)].name});
  onnx.output(output, std::vector<int64_t>{OnnxGraph::kAnyBatch, graph.shape(result)[1]});

  metadata["kindred.preprocessing"] = config.image.to_json().dump();
  return onnx.serialize(config.arch, metadata);
}

}  // namespace kindred
