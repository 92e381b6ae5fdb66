// Convolutions with everything that inference folds into them, and the batch norms it could not fold.
#include <cmath>

#include "common/models/onnx/elementwise.h"
#include "common/ops/batch_norm.h"
#include "common/ops/branched_conv.h"
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

/// A kernel as files have it, [O, C/groups, kh, kw], with its bias (empty for none) and the first parameter
/// that is not in them.
struct ConvWeights {
  std::vector<float> kernel, bias;
  size_t next = 0;
};

/// The convolution whose parameters begin at `first`, its batch norm folded in.
ConvWeights folded_weights(const NodeLowering& node, size_t first, bool has_bias, bool batch_norm, double eps,
                           int64_t outputs) {
  ConvWeights weights{node.parameter(first), {}, first + 1};
  if (has_bias) weights.bias = node.parameter(weights.next++);
  if (!batch_norm) return weights;
  weights.bias.resize(static_cast<size_t>(outputs));
  const ChannelMap norm = batch_norm_map(node, weights.next, eps);
  const size_t taps = weights.kernel.size() / weights.bias.size();
  for (size_t o = 0; o < weights.bias.size(); ++o) {
    for (size_t i = 0; i < taps; ++i) weights.kernel[o * taps + i] *= norm.scale[o];
    weights.bias[o] = weights.bias[o] * norm.scale[o] + norm.shift[o];
  }
  weights.next += 4;
  return weights;
}

/// A batch norm alone as a convolution of one tap; `inputs` of each output.
ConvWeights identity_weights(const NodeLowering& node, size_t first, double eps, int64_t inputs) {
  const ChannelMap norm = batch_norm_map(node, first, eps);
  ConvWeights weights{std::vector<float>(norm.scale.size() * static_cast<size_t>(inputs)), norm.shift,
                      first + 4};
  for (size_t o = 0; o < norm.scale.size(); ++o) {
    const size_t input = o % static_cast<size_t>(inputs);  // groups have as many outputs as inputs
    weights.kernel[o * static_cast<size_t>(inputs) + input] = norm.scale[o];
  }
  return weights;
}

/// Adds a branch of `inputs` inputs for each output where it stands in the merged kernel.
void add_branch(const ConvBranch& branch, const ConvWeights& part, const Window& window, int64_t inputs,
                ConvWeights& sum) {
  for (size_t i = 0; i < part.kernel.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t column = at % branch.kernel_w + branch.first_column;
    const int64_t row = at / branch.kernel_w % branch.kernel_h + branch.first_row;
    const int64_t slice = at / (int64_t{branch.kernel_w} * branch.kernel_h);  // an input of an output
    sum.kernel[static_cast<size_t>((slice * window.kernel_h + row) * window.kernel_w + column)] +=
        part.kernel[i];
  }
  for (size_t o = 0; o < part.bias.size(); ++o) sum.bias[o] += part.bias[o];
  KINDRED_ASSERT(part.kernel.size() == sum.bias.size() * static_cast<size_t>(inputs) *
                                           static_cast<size_t>(branch.kernel_h * branch.kernel_w));
}

ConvWeights merged_weights(const NodeLowering& node, const BranchedConv& op, const Window& window,
                           int64_t inputs) {
  const auto outputs = static_cast<size_t>(node.output_shape()[3]);
  ConvWeights sum{std::vector<float>(outputs * static_cast<size_t>(inputs * window.taps())),
                  std::vector<float>(outputs)};
  for (const ConvBranch& branch : op.branches) {
    const ConvWeights part = branch.identity ? identity_weights(node, sum.next, branch.eps, inputs)
                                             : folded_weights(node, sum.next, branch.bias, branch.batch_norm,
                                                              branch.eps, node.output_shape()[3]);
    add_branch(branch, part, window, inputs, sum);
    sum.next = part.next;
  }
  if (!op.affine) return sum;
  const float scale = node.parameter(sum.next)[0], shift = node.parameter(sum.next + 1)[0];
  for (float& value : sum.kernel) value *= scale;
  for (float& value : sum.bias) value = value * scale + shift;
  sum.next += 2;
  return sum;
}

OnnxValue lower_convolution(NodeLowering& node, const Window& window, int64_t groups,
                            const ConvWeights& weights, const Epilogue& epilogue) {
  const int64_t outputs = node.output_shape()[3], inputs = node.shape(0)[3];
  std::vector<std::string> arguments = {
      node.input(0, Channels::first),
      node.constant("weight", {outputs, inputs / groups, window.kernel_h, window.kernel_w}, weights.kernel)};
  if (!weights.bias.empty()) arguments.push_back(node.constant("bias", {outputs}, weights.bias));
  using Numbers = std::vector<int64_t>;
  const std::string y = node.add("Conv", arguments,
                                 {{"group", groups},
                                  {"kernel_shape", Numbers{window.kernel_h, window.kernel_w}},
                                  {"strides", Numbers{window.stride_h, window.stride_w}},
                                  {"pads", Numbers{window.top, window.left, window.bottom, window.right}}});
  return {lower_epilogue(node, y, epilogue, weights.next, Channels::first), Channels::first};
}

/// Conv2d or DepthwiseConv2d.
template <class O>
OnnxValue lower_plain(NodeLowering& node, const O& op, int64_t groups) {
  const ConvWeights weights =
      folded_weights(node, 0, op.bias, op.tail.batch_norm, op.tail.eps, node.output_shape()[3]);
  return lower_convolution(node, op.window, groups, weights, op.tail.epilogue);
}

OnnxValue lower_conv2d(const Conv2d& op, NodeLowering& node) { return lower_plain(node, op, op.groups); }

OnnxValue lower_depthwise(const DepthwiseConv2d& op, NodeLowering& node) {
  return lower_plain(node, op, node.shape(0)[3]);
}

OnnxValue lower_branched(const BranchedConv& op, NodeLowering& node) {
  const auto lower = [&](const auto& conv, int64_t groups) {
    const ConvWeights weights = merged_weights(node, op, conv.window, node.shape(0)[3] / groups);
    return lower_convolution(node, conv.window, groups, weights, conv.tail.epilogue);
  };
  if (const auto* dense = dynamic_cast<const Conv2d*>(op.conv.get())) return lower(*dense, dense->groups);
  return lower(static_cast<const DepthwiseConv2d&>(*op.conv), node.shape(0)[3]);
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
KINDRED_ONNX("branched_conv", BranchedConv, lower_branched);
KINDRED_ONNX("batch_norm", BatchNorm, lower_batch_norm);

}  // namespace

}  // namespace kindred
