#include "common/engine/roofline.h"

#include <algorithm>

#include "common/engine/planner.h"

namespace kindred {
namespace {

constexpr double kParameterBytes = 4;

void add(PassTime& pass, double flops, double bytes, DType dtype, const DeviceDescription& device) {
  const double arithmetic = flops > 0 ? flops / device.flops(dtype) : 0, memory = bytes / device.bytes_per_s;
  pass.seconds += std::max(arithmetic, memory);
  pass.flops += flops;
  pass.bytes += bytes;
  if (arithmetic > memory) pass.arithmetic_seconds += arithmetic;
}

}  // namespace

StepTime roofline(const Graph& graph, const DeviceDescription& device) {
  const std::vector<uint8_t> differentiable = find_differentiable(graph);
  const auto value_bytes = [&](int id) {
    const Node& node = graph.nodes()[static_cast<size_t>(id)];
    return static_cast<double>(node.shape.elements() * dtype_bytes(node.dtype));
  };
  StepTime time;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!node.op) continue;
    std::vector<Shape> shapes;
    double inputs = 0, saved = 0, input_gradients = 0, parameters = 0, trained = 0;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const int id = node.inputs[k].id;
      shapes.push_back(graph.shape(node.inputs[k]));
      inputs += value_bytes(id);
      if (node.op->saved().inputs >> k & 1) saved += value_bytes(id);
      if (differentiable[static_cast<size_t>(id)]) input_gradients += value_bytes(id);
    }
    for (const Param param : node.parameters) {
      const ParamInfo& info = graph.parameters().info(param);
      const double bytes = kParameterBytes * static_cast<double>(info.shape.elements());
      parameters += bytes;
      if (info.trainable) trained += bytes;
    }
    const double output = value_bytes(static_cast<int>(i));
    const double flops = 2 * static_cast<double>(node.op->macs(shapes));
    add(time.forward, flops, inputs + output + parameters, node.dtype, device);
    if (!differentiable[i]) continue;
    if (node.op->saved().output) saved += output;
    const int products = (flops > 0 && trained > 0) + (flops > 0 && input_gradients > 0);
    const double bytes = std::max(products, 1) * output + saved + input_gradients + parameters + trained;
    add(time.backward, products * flops, bytes, node.dtype, device);
  }
  return time;
}

}  // namespace kindred
