#include "common/ops/conv2d.h"

#include <cmath>
#include <memory>

#include "common/ops/shape_rules.h"

namespace kindred {

Init kaiming_normal(int64_t fan_in) { return Init::normal_std(std::sqrt(2.0 / static_cast<double>(fan_in))); }

Shape Conv2d::output_shape(std::span<const Shape> inputs) const {
  const Shape out = windowed_shape(type(), window, inputs, outputs);
  if (groups < 1 || inputs[0][3] % groups != 0 || outputs % groups != 0 || outputs < 1) {
    const auto divisible =
        concat("input [N,H,W,C] with C and ", outputs, " outputs divisible by groups ", groups);
    fail_shapes(type(), divisible, inputs);
  }
  if (tail.epilogue.residual && inputs[1] != out)
    fail_shapes(type(), concat("a residual ", out.text()), inputs);
  return out;
}

int64_t Conv2d::macs(std::span<const Shape> inputs) const {
  return output_shape(inputs).elements() * window.taps() * (inputs[0][3] / groups);
}

std::string Conv2d::attributes() const {
  std::string text = concat("outputs=", outputs, " ", window.text());
  if (groups > 1) text += concat(" groups=", groups);
  if (bias) text += " bias";
  if (const std::string rest = tail.text(); !rest.empty()) text += " " + rest;
  return text;
}

std::shared_ptr<const Op> Conv2d::fused_with(const Op& next, int input) const {
  auto fused = std::make_shared<Conv2d>(*this);
  return fused->tail.absorb(next, input) ? fused : nullptr;
}

Value conv2d(Graph& graph, Value images, const Conv2dSpec& spec, std::string_view name) {
  auto op = std::make_shared<Conv2d>();
  op->outputs = spec.outputs;
  op->window = spec.window;
  op->groups = spec.groups;
  op->bias = spec.bias;
  const auto scope = graph.scope(name);
  const Shape input = graph.shape(images);
  op->output_shape({&input, 1});  // refuses before anything is declared
  const int64_t fan_in = input[3] / spec.groups * spec.window.taps();
  const Shape weight{spec.outputs, input[3] / spec.groups, spec.window.kernel_h, spec.window.kernel_w};
  const Init init = spec.init.value_or(kaiming_normal(fan_in));
  std::vector<Param> params{graph.parameter("weight", weight, init, ParamLayout::ohwi, true, spec.lr_scale)};
  if (spec.bias) {
    const Init zero = Init::value(0);
    params.push_back(graph.parameter("bias", {spec.outputs}, zero, ParamLayout::plain, false, spec.lr_scale));
  }
  return graph.apply(std::move(op), {images}, std::move(params));
}

}  // namespace kindred
