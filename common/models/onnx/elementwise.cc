// Activations, affine blocks, sums and what inference leaves of dropout: ops that do not care where the
// channels are.
#include "common/models/onnx/elementwise.h"

#include "common/ops/add.h"
#include "common/ops/affine.h"
#include "common/ops/channel_gate.h"
#include "common/ops/concat.h"
#include "common/ops/drop_path.h"
#include "common/ops/dropout.h"

namespace kindred {

std::string lower_activation(NodeLowering& node, std::string x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return node.add("Relu", {x});
    case Activation::hardswish:
      return node.add("HardSwish", {x});
    case Activation::hardsigmoid:
      return node.add("HardSigmoid", {x}, {{"alpha", 1.f / 6}, {"beta", 0.5f}});
    case Activation::sigmoid:
      return node.add("Sigmoid", {x});
    case Activation::gelu: {  // a node of its own from opset 20 on
      const std::string erf = node.add("Erf", {node.add("Mul", {x, node.onnx().number(0.70710678f)})});
      const std::string twice_cdf = node.add("Add", {erf, node.onnx().number(1)});
      return node.add("Mul", {node.add("Mul", {x, node.onnx().number(0.5f)}), twice_cdf});
    }
  }
  KINDRED_ASSERT(false);
  return x;
}

std::string lower_affine(NodeLowering& node, const std::string& x, float scale, float bias) {
  return node.add("Add", {node.add("Mul", {x, node.onnx().number(scale)}), node.onnx().number(bias)});
}

namespace {

OnnxValue lower_activation_op(const ActivationOp& op, NodeLowering& node) {
  const auto [x, channels] = node.input(0);
  return {lower_activation(node, x, op.activation), channels};
}

OnnxValue lower_affine_op(const Affine&, NodeLowering& node) {
  const auto [x, channels] = node.input(0);
  return {lower_affine(node, x, node.parameter(0)[0], node.parameter(1)[0]), channels};
}

OnnxValue sum_of_inputs(NodeLowering& node) {
  auto [sum, channels] = node.input(0);
  for (size_t i = 1; i < node.inputs(); ++i) sum = node.add("Add", {sum, node.input(i, channels)});
  return {sum, channels};
}

OnnxValue lower_add(const Add&, NodeLowering& node) { return sum_of_inputs(node); }
OnnxValue lower_drop_path(const DropPath&, NodeLowering& node) { return sum_of_inputs(node); }

OnnxValue lower_dropout(const Dropout& op, NodeLowering& node) {
  const auto [x, channels] = node.input(0);
  if (op.scale == DropoutScale::upscale_in_train) return {x, channels};
  return {node.add("Mul", {x, node.onnx().number(static_cast<float>(1 - op.rate))}), channels};
}

OnnxValue lower_concat(const Concat&, NodeLowering& node) {
  const Channels channels = node.convolved(0);
  std::vector<std::string> parts;
  for (size_t i = 0; i < node.inputs(); ++i) parts.push_back(node.input(i, channels));
  const int64_t axis = channels == Channels::first ? 1 : -1;
  return {node.add("Concat", parts, {{"axis", axis}}), channels};
}

OnnxValue lower_channel_gate(const ChannelGate&, NodeLowering& node) {
  const std::string images = node.input(0, Channels::first);
  const std::string gate = node.reshape(node.input(1, Channels::last), {0, node.shape(0)[3], 1, 1});
  return {node.add("Mul", {images, gate}), Channels::first};
}

KINDRED_ONNX("activation", ActivationOp, lower_activation_op);
KINDRED_ONNX("affine", Affine, lower_affine_op);
KINDRED_ONNX("add", Add, lower_add);
KINDRED_ONNX("drop_path", DropPath, lower_drop_path);
KINDRED_ONNX("dropout", Dropout, lower_dropout);
KINDRED_ONNX("concat", Concat, lower_concat);
KINDRED_ONNX("channel_gate", ChannelGate, lower_channel_gate);

}  // namespace

}  // namespace kindred
