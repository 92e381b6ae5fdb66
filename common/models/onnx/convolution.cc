// Convolutions with everything that inference folds into them, and the batch norms it could not fold.
#include <cmath>

#include "common/models/onnx/elementwise.h"
#include "common/ops/batch_norm.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"

namespace kindred {

namespace {

/// scale(c) v + shift(c): what a batch norm does in inference.
struct ChannelMap {
  std::vector<float> scale, shift;
};

/// From the four parameters that begin at `first`.
ChannelMap batch_norm_map(const NodeLowering& node, size_t first, double eps) {
  const std::vector<float> gamma = node.parameter(first), beta = node.parameter(first + 1),
                           mean = node.parameter(first + 2), variance = node.parameter(first + 3);
  ChannelMap map{gamma, beta};
  for (size_t c = 0; c < gamma.size(); ++c) {
    const double scale = gamma[c] / std::sqrt(variance[c] + eps);
    map.scale[c] = static_cast<float>(scale);
    map.shift[c] = static_cast<float>(beta[c] - mean[c] * scale);
  }
  return map;
}

/// y = scale act(x) + bias + residual; the affine block's two parameters begin at `first`, the residual is
/// the last input.
std::string lower_epilogue(NodeLowering& node, std::string x, const Epilogue& epilogue, size_t first,
                           Channels channels) {
  x = lower_activation(node, x, epilogue.activation);
  if (epilogue.affine) x = lower_affine(node, x, node.parameter(first)[0], node.parameter(first + 1)[0]);
  if (epilogue.residual) x = node.add("Add", {x, node.input(node.inputs() - 1, channels)});
  return x;
}

OnnxValue lower_convolution(NodeLowering& node, const Window& window, int64_t groups, bool has_bias,
                            const ConvTail& tail) {
  std::vector<float> weight = node.parameter(0);
  const int64_t outputs = node.output_shape()[3], inputs = node.shape(0)[3];
  std::vector<float> bias = has_bias ? node.parameter(1) : std::vector<float>(static_cast<size_t>(outputs));
  size_t next = has_bias ? 2 : 1;
  if (tail.batch_norm) {
    const ChannelMap norm = batch_norm_map(node, next, tail.eps);
    const size_t taps = weight.size() / bias.size();
    for (size_t o = 0; o < bias.size(); ++o) {
      for (size_t i = 0; i < taps; ++i) weight[o * taps + i] *= norm.scale[o];
      bias[o] = bias[o] * norm.scale[o] + norm.shift[o];
    }
    next += 4;
  }
  std::vector<std::string> arguments = {
      node.input(0, Channels::first),
      node.constant("weight", {outputs, inputs / groups, window.kernel_h, window.kernel_w}, weight)};
  if (has_bias || tail.batch_norm) arguments.push_back(node.constant("bias", {outputs}, bias));
  using Numbers = std::vector<int64_t>;
  const std::string y = node.add("Conv", arguments,
                                 {{"group", groups},
                                  {"kernel_shape", Numbers{window.kernel_h, window.kernel_w}},
                                  {"strides", Numbers{window.stride_h, window.stride_w}},
                                  {"pads", Numbers{window.top, window.left, window.bottom, window.right}}});
  return {lower_epilogue(node, y, tail.epilogue, next, Channels::first), Channels::first};
}

OnnxValue lower_conv2d(const Conv2d& op, NodeLowering& node) {
  return lower_convolution(node, op.window, op.groups, op.bias, op.tail);
}

OnnxValue lower_depthwise(const DepthwiseConv2d& op, NodeLowering& node) {
  return lower_convolution(node, op.window, node.shape(0)[3], op.bias, op.tail);
}

OnnxValue lower_batch_norm(const BatchNorm& op, NodeLowering& node) {
  const ChannelMap norm = batch_norm_map(node, 0, op.eps);
  const auto [x, channels] = node.input(0);
  const auto count = static_cast<int64_t>(norm.scale.size());
  const Shape shape = channels == Channels::first ? Shape{count, 1, 1} : Shape{count};
  const std::string scaled = node.add("Mul", {x, node.constant("scale", shape, norm.scale)});
  const std::string y = node.add("Add", {scaled, node.constant("shift", shape, norm.shift)});
  return {lower_epilogue(node, y, op.epilogue, 4, channels), channels};
}

KINDRED_ONNX("conv2d", Conv2d, lower_conv2d);
KINDRED_ONNX("depthwise_conv2d", DepthwiseConv2d, lower_depthwise);
KINDRED_ONNX("batch_norm", BatchNorm, lower_batch_norm);

}  // namespace

}  // namespace kindred
