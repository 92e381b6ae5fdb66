// Pools, rows and what moves pixels about.
#include "common/models/onnx/lowering.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/l2_normalize.h"
#include "common/ops/layer_norm.h"
#include "common/ops/linear.h"
#include "common/ops/max_pool.h"
#include "common/ops/patch_merge.h"
#include "common/ops/reshape.h"

namespace kindred {

namespace {

using Numbers = std::vector<int64_t>;

OnnxValue lower_max_pool(const MaxPool& op, NodeLowering& node) {
  const Window& w = op.window;
  std::string x = node.input(0, Channels::first);
  Numbers pads{w.top, w.left, w.bottom, w.right};
  if (op.padding == PoolPadding::zero) {  // MaxPool itself lets its padding never win
    x = node.add("Pad",
                 {x, node.onnx().whole_numbers(Numbers{0, 0, w.top, w.left, 0, 0, w.bottom, w.right})});
    pads = {0, 0, 0, 0};
  }
  return {node.add("MaxPool", {x},
                   {{"kernel_shape", Numbers{w.kernel_h, w.kernel_w}},
                    {"strides", Numbers{w.stride_h, w.stride_w}},
                    {"pads", pads}}),
          Channels::first};
}

OnnxValue lower_average_pool(const GlobalAveragePool& op, NodeLowering& node) {
  const auto [x, channels] = node.input(0);
  const Numbers axes = channels == Channels::first ? Numbers{2, 3} : Numbers{1, 2};
  const int64_t keep = op.map ? 1 : 0;
  return {node.add("ReduceMean", {x}, {{"axes", axes}, {"keepdims", keep}}),
          op.map ? channels : Channels::last};
}

OnnxValue lower_linear(const Linear& op, NodeLowering& node) {
  const std::string x = node.input(0, Channels::last);
  const int64_t inputs = node.shape(0)[-1];
  if (node.shape(0).rank() == 2) {
    std::vector<std::string> arguments = {x, node.parameter_constant(0, {op.outputs, inputs})};
    if (op.bias) arguments.push_back(node.parameter_constant(1, {op.outputs}));
    return {node.add("Gemm", arguments, {{"transB", int64_t{1}}})};
  }
  const std::vector<float> weight = node.parameter(0);
  std::vector<float> turned(weight.size());
  const auto M = static_cast<size_t>(op.outputs), K = static_cast<size_t>(inputs);
  for (size_t m = 0; m < M; ++m)
    for (size_t k = 0; k < K; ++k) turned[k * M + m] = weight[m * K + k];
  std::string y = node.add("MatMul", {x, node.constant("weight_t", {inputs, op.outputs}, turned)});
  if (op.bias) y = node.add("Add", {y, node.parameter_constant(1, {op.outputs})});
  return {y};
}

OnnxValue lower_layer_norm(const LayerNorm& op, NodeLowering& node) {
  const Shape channels{node.shape(0)[-1]};
  return {node.add("LayerNormalization",
                   {node.input(0, Channels::last), node.parameter_constant(0, channels),
                    node.parameter_constant(1, channels)},
                   {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(op.eps)}})};
}

OnnxValue lower_l2_normalize(const L2Normalize&, NodeLowering& node) {
  const std::string x = node.input(0, Channels::last);
  const std::string length = node.add("ReduceL2", {x}, {{"axes", Numbers{-1}}, {"keepdims", int64_t{1}}});
  return {node.add("Div", {x, node.add("Max", {length, node.onnx().number(L2Normalize::kEps)})})};
}

OnnxValue lower_reshape(const Reshape& op, NodeLowering& node) {
  Numbers dims{-1};  // the batch
  for (int i = 1; i < op.shape.rank(); ++i) dims.push_back(op.shape[i]);
  return {node.reshape(node.input(0, Channels::last), dims)};
}

OnnxValue lower_patch_merge(const PatchMerge&, NodeLowering& node) {
  std::string x = node.input(0, Channels::last);
  const Shape map = node.shape(0), out = node.output_shape();
  if (map[1] % 2 != 0 || map[2] % 2 != 0) {
    const Numbers pads{0, 0, 0, 0, 0, map[1] % 2, map[2] % 2, 0};
    x = node.add("Pad", {x, node.onnx().whole_numbers(pads)});
  }
  x = node.reshape(x, {0, out[1], 2, out[2], 2, map[3]});
  x = node.transpose(x, {0, 1, 3, 4, 2, 5});  // of every square: column by column
  return {node.reshape(x, {0, out[1], out[2], out[3]})};
}

KINDRED_ONNX("max_pool", MaxPool, lower_max_pool);
KINDRED_ONNX("global_average_pool", GlobalAveragePool, lower_average_pool);
KINDRED_ONNX("linear", Linear, lower_linear);
KINDRED_ONNX("layer_norm", LayerNorm, lower_layer_norm);
KINDRED_ONNX("l2_normalize", L2Normalize, lower_l2_normalize);
KINDRED_ONNX("reshape", Reshape, lower_reshape);
KINDRED_ONNX("patch_merge", PatchMerge, lower_patch_merge);

}  // namespace

}  // namespace kindred
