#include "common/ops/depthwise_conv2d.h"

#include <memory>

#include "common/ops/conv2d.h"  // kaiming_normal
#include "common/ops/shape_rules.h"

namespace kindred {

Shape DepthwiseConv2d::output_shape(std::span<const Shape> inputs) const {
  expect_images(type(), inputs);
  const Shape out = windowed_shape(type(), window, inputs, inputs[0][3]);
  if (tail.epilogue.residual && inputs[1] != out)
    fail_shapes(type(), concat("a residual ", out.text()), inputs);
  return out;
}

int64_t DepthwiseConv2d::macs(std::span<const Shape> inputs) const {
  return output_shape(inputs).elements() * window.taps();
}

std::string DepthwiseConv2d::attributes() const {
  std::string text = window.text();
  if (bias) text += " bias";
  if (const std::string rest = tail.text(); !rest.empty()) text += " " + rest;
  return text;
}

std::shared_ptr<const Op> DepthwiseConv2d::fused_with(const Op& next, int input) const {
  auto fused = std::make_shared<DepthwiseConv2d>(*this);
  return fused->tail.absorb(next, input) ? fused : nullptr;
}

Value depthwise_conv2d(Graph& graph, Value images, const DepthwiseConv2dSpec& spec, std::string_view name) {
  auto op = std::make_shared<DepthwiseConv2d>();
  op->window = spec.window;
  op->bias = spec.bias;
  const auto scope = graph.scope(name);
  const Shape input = graph.shape(images);
  op->output_shape({&input, 1});  // refuses before anything is declared
  const Shape weight{input[3], 1, spec.window.kernel_h, spec.window.kernel_w};
  const Init init = spec.init.value_or(kaiming_normal(spec.window.taps()));
  std::vector<Param> params{graph.parameter("weight", weight, init, ParamLayout::hwc, true, spec.lr_scale)};
  if (spec.bias) {
    const Init zero = Init::value(0);
    params.push_back(graph.parameter("bias", {input[3]}, zero, ParamLayout::plain, false, spec.lr_scale));
  }
  return graph.apply(std::move(op), {images}, std::move(params));
}

}  // namespace kindred
