// How an op of ours is said in ONNX: one function per op, registered under the op's type. Our maps are NHWC
// and ONNX convolves NCHW, so every tensor carries where its channels are, and moves them only when it must.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/registry.h"
#include "common/engine/graph.h"
#include "common/models/onnx/onnx_graph.h"

namespace kindred {

enum class Channels : uint8_t { first, last };

/// A tensor of the ONNX graph that stands for a value of ours. Of anything but a map [N,H,W,C] the channels
/// are last.
struct OnnxValue {
  std::string name;
  Channels channels = Channels::last;
};

/// One node on its way into an ONNX graph.
class NodeLowering {
 public:
  using Values = std::vector<OnnxValue>;  // by Value::id

  NodeLowering(const Graph& graph, const Node& node, OnnxGraph& onnx, Values& values)
      : graph_(graph), node_(node), onnx_(onnx), values_(values) {}

  size_t inputs() const { return node_.inputs.size(); }
  const Shape& shape(size_t input) const { return graph_.shape(node_.inputs[input]); }
  const Shape& output_shape() const { return node_.shape; }

  /// An input as it lies, or with its channels where they are wanted.
  OnnxValue input(size_t i) const { return values_[static_cast<size_t>(node_.inputs[i].id)]; }
  std::string input(size_t i, Channels wanted);

  bool is_map(size_t input) const { return shape(input).rank() == 4; }
  Channels convolved(size_t input) const { return is_map(input) ? Channels::first : Channels::last; }

  /// Parameter `i` as files have it.
  std::vector<float> parameter(size_t i) const;
  std::string parameter_constant(size_t i, const Shape& shape);

  /// The graph's own calls under this node's name.
  std::string add(std::string_view op, const std::vector<std::string>& inputs,
                  const std::vector<OnnxAttribute>& attributes = {}, int outputs = 1) {
    return onnx_.node(op, concat(node_.name, "/", op), inputs, attributes, outputs);
  }
  std::string reshape(const std::string& x, const std::vector<int64_t>& dims);
  /// Dimension i of the result is dimension order[i] of x.
  std::string transpose(const std::string& x, const std::vector<int64_t>& order);
  /// [begin, end) of one axis.
  std::string slice(const std::string& x, int64_t axis, int64_t begin, int64_t end);
  std::string constant(std::string_view name, const Shape& shape, std::span<const float> values) {
    return onnx_.constant(concat(node_.name, ".", name), shape, values);
  }
  OnnxGraph& onnx() { return onnx_; }

 private:
  const Graph& graph_;
  const Node& node_;
  OnnxGraph& onnx_;
  Values& values_;
};

using LoweringFn = std::function<OnnxValue(const Op&, NodeLowering&)>;

/// By op type: "conv2d". What is missing is an error when a network is exported.
Registry<LoweringFn>& lowering_registry();

template <class O>
bool register_lowering(const char* type, OnnxValue (*lower)(const O&, NodeLowering&)) {
  return lowering_registry().add(
      type, [lower](const Op& op, NodeLowering& node) { return lower(static_cast<const O&>(op), node); },
      type);
}

}  // namespace kindred

/// At the foot of a lowering: KINDRED_ONNX("conv2d", Conv2d, lower_conv2d). OnnxValue(const O&,
/// NodeLowering&).
#define KINDRED_ONNX(type, O, lower) \
  [[maybe_unused]] static const bool kindred_onnx_##lower = ::kindred::register_lowering<O>(type, lower)
