#include "common/models/blocks.h"

#include <cmath>

#include "common/ops/batch_norm.h"
#include "common/ops/channel_gate.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/linear.h"

namespace kindred {

Value conv_bn_act(Graph& graph, Value x, const ConvBnAct& spec) {
  const Window window = Window::same(spec.kernel, spec.stride);
  if (spec.depthwise) {
    KINDRED_ASSERT(spec.outputs == graph.shape(x)[-1]);
    x = depthwise_conv2d(graph, x, {.window = window}, spec.conv_name);
  } else {
    x = conv2d(graph, x, {.outputs = spec.outputs, .window = window}, spec.conv_name);
  }
  return batch_norm(graph, x,
                    {.activation = spec.activation, .affine = spec.lab, .affine_lr_scale = kLabLrScale},
                    spec.norm_name);
}

Value conv_bn_act(Graph& graph, std::string_view scope, Value x, const ConvBnAct& spec) {
  const auto inside = graph.scope(scope);
  return conv_bn_act(graph, x, spec);
}

Value strided_depthwise(Graph& graph, Value x) {
  return conv_bn_act(graph, "downsample", x,
                     {.outputs = graph.shape(x)[-1],
                      .kernel = 3,
                      .stride = 2,
                      .depthwise = true,
                      .activation = Activation::none});
}

Value pooled_conv(Graph& graph, Value rows, int64_t outputs, bool bias, std::string_view name) {
  const auto scope = graph.scope(name);
  const int64_t inputs = graph.shape(rows)[-1];
  auto op = std::make_shared<Linear>();
  op->outputs = outputs;
  op->bias = bias;
  std::vector<Param> parameters = {
      graph.parameter("weight", {outputs, inputs, 1, 1}, kaiming_normal(inputs))};
  if (bias)
    parameters.push_back(graph.parameter("bias", {outputs}, Init::value(0), ParamLayout::plain, false));
  return graph.apply(op, {rows}, parameters);
}

Value squeeze_excitation(Graph& graph, Value x, const SqueezeExcitation& spec) {
  constexpr int kReduction = 4;
  const int64_t channels = graph.shape(x)[-1];
  Value gate =
      pooled_conv(graph, global_average_pool(graph, x), channels / kReduction, true, spec.reduce_name);
  gate = pooled_conv(graph, activation(graph, gate, Activation::relu), channels, true, spec.expand_name);
  return channel_gate(graph, x, activation(graph, gate, spec.gate));
}

Value effective_squeeze_excitation(Graph& graph, Value x) {
  const Value gate = pooled_conv(graph, global_average_pool(graph, x), graph.shape(x)[-1], true, "conv");
  return channel_gate(graph, x, activation(graph, gate, Activation::sigmoid));
}

int64_t make_divisible(double channels, int64_t divisor) {
  const double half = static_cast<double>(divisor) / 2;
  const int64_t nearest = static_cast<int64_t>(channels + half) / divisor * divisor;
  const int64_t rounded = std::max(divisor, nearest);
  return static_cast<double>(rounded) < 0.9 * channels ? rounded + divisor : rounded;
}

ImageSpec imagenet_spec(int size, int resize_short, Interpolation interpolation) {
  ImageSpec spec;
  spec.height = spec.width = size;
  spec.resize = ResizeMode::center_crop;
  spec.resize_short = resize_short;
  spec.interpolation = interpolation;
  return spec;
}

}  // namespace kindred
