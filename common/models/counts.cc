#include "common/models/counts.h"

#include <algorithm>
#include <cctype>

#include "common/engine/passes/fuse.h"
#include "common/ops/branched_conv.h"

namespace kindred {

namespace {

/// What a merge leaves of a node's parameters: kernel and bias, and the affine blocks as they are.
int64_t merged_elements(const Graph& graph, const Node& node, const BranchedConv& op) {
  int64_t elements = op.weight_shape(graph.shape(node.inputs[0])).elements() + node.shape[-1];
  for (const Param param : node.parameters) {
    const ParamInfo& info = graph.parameters().info(param);
    if (info.shape == Shape{1}) elements += 1;
  }
  return elements;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "stages.2.blocks.0.conv" -> "stages.2", "stem.stem1.conv" -> "stem", "blocks2.0.se" -> "blocks2".
std::string stage_name(std::string_view name) {
  const size_t first = name.find('.');
  if (first == std::string_view::npos) return std::string(name);
  const size_t second = name.find('.', first + 1);
  const bool numbered = std::isdigit(static_cast<unsigned char>(name[first - 1])) != 0;
  const bool joined = !numbered && is_number(name.substr(first + 1, second - first - 1));
  return std::string(name.substr(0, joined ? second : first));
}

/// Batch norms and nodes without a scope belong to the stage before them.
bool joins_stage_before(const Node& node, const std::string& stage) {
  return stage == node.op->type() || (node.op->type() == "batch_norm" && stage == node.name);
}

}  // namespace

NetworkCounts count_network(const Graph& graph) {
  NetworkCounts counts;
  const ParameterSet& parameters = graph.parameters();
  counts.parameters = counts.fused_parameters = parameters.trainable_elements();
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    if (!info.trainable) counts.buffers += info.shape.elements();
  }
  counts.macs = graph.macs();

  Graph fused = graph;
  fuse(fused);
  counts.fused_macs = fused.macs();
  for (const Node& node : fused.nodes()) {
    const auto* merged = dynamic_cast<const BranchedConv*>(node.op.get());
    if (merged == nullptr) continue;
    counts.fused_parameters += merged_elements(fused, node, *merged);
    for (const Param param : node.parameters) {
      const ParamInfo& info = parameters.info(param);
      if (info.trainable) counts.fused_parameters -= info.shape.elements();
    }
  }
  return counts;
}

std::vector<StageCounts> count_stages(const Graph& graph) {
  std::vector<StageCounts> stages;
  const ParameterSet& parameters = graph.parameters();
  std::vector<uint8_t> counted(static_cast<size_t>(parameters.count()));
  const auto count = [&](StageCounts& stage, Param param) {
    const ParamInfo& info = parameters.info(param);
    if (info.trainable && !counted[static_cast<size_t>(param.id)]) stage.parameters += info.shape.elements();
    counted[static_cast<size_t>(param.id)] = 1;
  };
  for (const Node& node : graph.nodes()) {
    if (!node.op) continue;
    const std::string name = stage_name(node.name);
    const bool joins = !stages.empty() && joins_stage_before(node, name);
    if (!joins && (stages.empty() || stages.back().name != name))
      stages.push_back({.name = name, .output = {}});
    StageCounts& stage = stages.back();
    if (name != node.op->type()) stage.output = node.shape;  // the pool before a head is not the stage's
    for (const Param param : node.parameters) count(stage, param);
    std::vector<Shape> inputs;
    for (const Value value : node.inputs) inputs.push_back(graph.shape(value));
    stage.macs += node.op->macs(inputs);
  }
  for (int i = 0; i < parameters.count(); ++i) {  // those that no node reads
    const std::string name = stage_name(parameters.info({i}).name);
    const auto stage =
        std::find_if(stages.begin(), stages.end(), [&](const auto& s) { return s.name == name; });
    if (stage != stages.end()) count(*stage, {i});
  }
  return stages;
}

}  // namespace kindred
