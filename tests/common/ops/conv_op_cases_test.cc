// Convolutions, dense, grouped and depthwise, against plain loops; in training, and in inference with what
// the passes fold into them.
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"
#include "tests/common/ops/references.h"

namespace kindred::test {
namespace {

struct ConvRow {
  const char* name;
  Shape x;
  int64_t outputs;
  Window window;
  int groups = 1;
  bool bias = false;
};

constexpr Window kRectangle{3, 5, 2, 1, 1, 2, 0, 3};    // every number another
constexpr Window kBottomRight{2, 2, 1, 1, 0, 0, 1, 1};  // HGNetV2's stem

OpCase conv_case(const ConvRow& row, const ConvTail& tail = {}, bool training = true) {
  auto op = std::make_shared<Conv2d>();
  op->outputs = row.outputs;
  op->window = row.window;
  op->groups = row.groups;
  op->bias = row.bias;
  op->tail = tail;
  OpCase out;
  out.name = concat("conv2d/", row.name);
  out.op = op;
  out.inputs = {{row.x}};
  if (tail.epilogue.residual) {
    const Window& w = row.window;
    out.inputs.push_back({{row.x[0], w.output_height(row.x[1]), w.output_width(row.x[2]), row.outputs}});
  }
  const int64_t in = row.x[3] / row.groups;
  out.parameters = {{{row.outputs, row.window.kernel_h, row.window.kernel_w, in}}};
  add_tail_parameters(out.parameters, row.outputs, row.bias, tail);
  out.reference = [row, tail](std::span<const Array> inputs, std::span<Array> parameters) {
    return convolve(inputs, parameters, row.window, row.outputs, row.groups, row.bias, tail);
  };
  out.training = training;
  if (tail.batch_norm) out.bf16_tolerance *= 2;  // the folded weights are rounded too
  out.thread_independent = false;                // oneDNN divides sums over the threads there are
  return out;
}

std::vector<OpCase> conv2d_cases() {
  return {
      conv_case({"pointwise", {2, 5, 7, 24}, 40, Window::same(1)}),
      conv_case({"pointwise_odd_channels", {3, 1, 1, 75}, 7, Window::same(1), 1, true}),
      conv_case({"one_channel", {1, 8, 5, 1}, 1, Window::same(3)}),
      conv_case({"stem", {2, 9, 8, 3}, 16, Window::same(3, 2), 1, true}),
      conv_case({"three_by_three", {2, 7, 7, 16}, 32, Window::same(3)}),
      conv_case({"odd_channels", {1, 5, 6, 7}, 75, Window::same(3)}),
      conv_case({"bottom_right_padding", {2, 5, 8, 8}, 16, kBottomRight}),
      conv_case({"rectangle", {2, 8, 7, 8}, 8, kRectangle, 1, true}),
      conv_case({"patches", {2, 8, 12, 3}, 24, Window::valid(4, 4), 1, true}),
      conv_case({"pointwise_stride_2", {2, 7, 8, 16}, 8, Window::valid(1, 2)}),
      conv_case({"grouped", {2, 6, 5, 16}, 32, Window::same(3), 4, true}),
      conv_case({"grouped_pointwise", {2, 4, 4, 24}, 16, Window::same(1), 8}),
      conv_case({"grouped_to_single_channels", {1, 5, 5, 6}, 6, Window::same(3), 6}),
      conv_case({"smallest_map", {4, 1, 1, 8}, 8, Window::same(3)}),
  };
}

std::vector<OpCase> conv2d_inference_cases() {
  const auto tail = [](bool batch_norm, Epilogue epilogue) {
    return ConvTail{batch_norm, batch_norm ? 1e-5 : 0, epilogue};
  };
  return {
      conv_case({"infer", {2, 5, 6, 8}, 16, Window::same(3), 1, true}, {}, false),
      conv_case({"infer_norm", {2, 5, 6, 8}, 16, Window::same(3)}, tail(true, {}), false),
      conv_case({"infer_bias_norm_relu", {2, 5, 6, 8}, 16, Window::same(3), 1, true},
                tail(true, {Activation::relu}), false),
      conv_case({"infer_norm_relu_affine", {2, 5, 6, 8}, 16, Window::same(1)},
                tail(true, {Activation::relu, true}), false),
      conv_case({"infer_all", {2, 5, 6, 8}, 16, Window::same(3), 2, true},
                tail(true, {Activation::hardswish, true, true}), false),
      conv_case({"infer_residual", {2, 5, 6, 16}, 16, Window::same(1)},
                tail(true, {Activation::none, false, true}), false),
      conv_case({"infer_hardsigmoid", {2, 1, 1, 8}, 16, Window::same(1), 1, true},
                tail(false, {Activation::hardsigmoid}), false),
      conv_case({"infer_sigmoid", {2, 1, 1, 8}, 16, Window::same(1), 1, true},
                tail(false, {Activation::sigmoid}), false),
      conv_case({"infer_gelu", {2, 3, 3, 8}, 16, Window::same(1), 1, true}, tail(false, {Activation::gelu}),
                false),
  };
}

struct DepthwiseRow {
  const char* name;
  Shape x;
  Window window;
  bool bias = false;
};

OpCase depthwise_case(const DepthwiseRow& row, const ConvTail& tail = {}, bool training = true) {
  auto op = std::make_shared<DepthwiseConv2d>();
  op->window = row.window;
  op->bias = row.bias;
  op->tail = tail;
  const int64_t channels = row.x[3];
  OpCase out;
  out.name = concat("depthwise_conv2d/", row.name);
  out.op = op;
  out.inputs = {{row.x}};
  if (tail.epilogue.residual) {
    out.inputs.push_back(
        {{row.x[0], row.window.output_height(row.x[1]), row.window.output_width(row.x[2]), channels}});
  }
  out.parameters = {{{row.window.kernel_h, row.window.kernel_w, channels}}};
  add_tail_parameters(out.parameters, channels, row.bias, tail);
  out.reference = [row, tail, channels](std::span<const Array> inputs, std::span<Array> parameters) {
    std::vector<Array> turned(parameters.begin(), parameters.end());
    turned[0] = Array({channels, row.window.kernel_h, row.window.kernel_w, 1});
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t tap = 0; tap < row.window.taps(); ++tap)
        turned[0][c * row.window.taps() + tap] = parameters[0][tap * channels + c];
    return convolve(inputs, turned, row.window, channels, channels, row.bias, tail);
  };
  out.training = training;
  return out;
}

std::vector<OpCase> depthwise_cases() {
  const ConvTail all{true, 1e-5, {Activation::hardswish, true, true}},
      norm_relu{true, 1e-5, {Activation::relu}};
  return {
      depthwise_case({"three", {2, 7, 7, 16}, Window::same(3)}),
      depthwise_case({"three_stride_2", {2, 8, 9, 32}, Window::same(3, 2)}),
      depthwise_case({"five", {1, 7, 14, 24}, Window::same(5), true}),
      depthwise_case({"five_stride_2", {2, 9, 12, 16}, Window::same(5, 2)}),
      depthwise_case({"odd_channels", {1, 6, 10, 75}, Window::same(5)}),
      depthwise_case({"odd_channels_stride_2", {1, 11, 17, 17}, Window::same(3, 2), true}),
      depthwise_case({"one_pixel", {3, 1, 1, 16}, Window::same(5)}),
      depthwise_case({"one_pixel_stride_2", {3, 1, 1, 16}, Window::same(5, 2)}),
      depthwise_case({"small_map", {2, 3, 4, 18}, Window::same(5)}),
      depthwise_case({"small_map_stride_2", {2, 2, 5, 18}, Window::same(3, 2)}),
      depthwise_case({"uneven_padding", {1, 9, 13, 16}, {3, 3, 1, 1, 0, 2, 1, 0}}),
      depthwise_case({"uneven_padding_stride_2", {1, 9, 16, 16}, {5, 5, 2, 2, 3, 0, 1, 4}}),
      depthwise_case({"wide_padding", {1, 4, 5, 16}, {3, 3, 1, 1, 4, 5, 3, 4}}),
      depthwise_case({"many_rows", {8, 16, 3, 16}, Window::same(3)}),
      depthwise_case({"plain_few_channels", {2, 5, 5, 7}, Window::same(3), true}),
      depthwise_case({"plain_rectangle", {1, 7, 8, 16}, kRectangle}),
      depthwise_case({"plain_pointwise", {2, 4, 5, 20}, Window::same(1)}),
      depthwise_case({"infer_norm_relu", {2, 5, 9, 24}, Window::same(3)}, norm_relu, false),
      depthwise_case({"infer_all", {2, 5, 9, 24}, Window::same(5, 2), true}, all, false),
      depthwise_case({"infer_plain_all", {2, 5, 4, 6}, Window::same(3), true}, all, false),
      depthwise_case({"infer_plain", {2, 5, 4, 6}, Window::same(3)}, {}, false),
  };
}

KINDRED_OP_CASES(conv2d_cases);
KINDRED_OP_CASES(conv2d_inference_cases);
KINDRED_OP_CASES(depthwise_cases);

}  // namespace
}  // namespace kindred::test
