#include "common/ops/network_convolutions.h"

#include <map>

#include "common/engine/planner.h"
#include "common/ops/conv2d.h"

namespace kindred {
namespace {

Convolution convolution_of(const Conv2d& op, const Shape& images, const Shape& outputs, DType dtype) {
  const Window& w = op.window;
  return {ConvolutionPass::forward,
          dtype,
          images,
          outputs,
          w.kernel_h,
          w.kernel_w,
          w.stride_h,
          w.stride_w,
          w.top,
          w.left,
          w.bottom,
          w.right,
          op.groups};
}

}  // namespace

std::vector<NetworkConvolution> network_convolutions(const Graph& graph, DType dtype, bool training) {
  const std::vector<uint8_t> differentiable = find_differentiable(graph);
  std::vector<NetworkConvolution> found;
  std::map<std::string, size_t> place;  // by text
  const auto add = [&](const Convolution& convolution, const std::string& node) {
    const auto [entry, fresh] = place.emplace(convolution.text(), found.size());
    if (fresh) found.push_back({convolution, 0, node});
    ++found[entry->second].uses;
  };
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const auto* op = dynamic_cast<const Conv2d*>(node.op.get());
    if (op == nullptr) continue;
    const Value images = node.inputs[0];
    Convolution convolution = convolution_of(*op, graph.shape(images), node.shape, dtype);
    add(convolution, node.name);
    if (!training || !differentiable[i]) continue;
    convolution.pass = ConvolutionPass::backward_weights;
    add(convolution, node.name);
    if (!differentiable[static_cast<size_t>(images.id)]) continue;
    convolution.pass = ConvolutionPass::backward_data;
    add(convolution, node.name);
  }
  return found;
}

}  // namespace kindred
