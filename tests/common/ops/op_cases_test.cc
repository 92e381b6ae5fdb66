// Everything but convolutions and Swin's ops against plain loops.
#include <numeric>

#include "common/base/philox.h"
#include "common/ops/add.h"
#include "common/ops/affine.h"
#include "common/ops/batch_norm.h"
#include "common/ops/channel_gate.h"
#include "common/ops/concat.h"
#include "common/ops/dropout.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/l2_normalize.h"
#include "common/ops/linear.h"
#include "common/ops/max_pool.h"
#include "common/ops/reshape.h"
#include "tests/common/ops/references.h"

namespace kindred::test {
namespace {

OpCase batch_norm_case(const char* name, const Shape& x, const Epilogue& epilogue, bool training = true) {
  auto op = std::make_shared<BatchNorm>();
  op->epilogue = epilogue;
  const int64_t C = x[-1], n = x.rows();
  OpCase out;
  out.name = concat("batch_norm/", name);
  out.op = op;
  out.inputs = {{x, uniform(-2, 3)}};
  if (epilogue.residual) out.inputs.push_back({x});
  out.parameters = {
      {{C}, uniform(0.5, 1.5)}, {{C}}, {{C}, uniform(-1, 1), false}, {{C}, uniform(0.5, 2), false}};
  if (epilogue.affine) out.parameters.insert(out.parameters.end(), {{{1}, uniform(0.5, 1.5)}, {{1}}});
  out.reference = [=](std::span<const Array> inputs, std::span<Array> p) {
    Array y(x);
    for (int64_t c = 0; c < C; ++c) {
      double mean = p[2][c], variance = p[3][c];
      if (training) {
        mean = variance = 0;
        for (int64_t r = 0; r < n; ++r) mean += inputs[0][r * C + c] / static_cast<double>(n);
        for (int64_t r = 0; r < n; ++r)
          variance += std::pow(inputs[0][r * C + c] - mean, 2) / static_cast<double>(n);
        const double unbiased =
            variance * static_cast<double>(n) / static_cast<double>(std::max<int64_t>(1, n - 1));
        p[2][c] = 0.9 * p[2][c] + 0.1 * mean;
        p[3][c] = 0.9 * p[3][c] + 0.1 * unbiased;
      }
      for (int64_t i = c; i < n * C; i += C) {
        const double v = (inputs[0][i] - mean) / std::sqrt(variance + 1e-5) * p[0][c] + p[1][c];
        y[i] = finish(epilogue, v, p.subspan(4), epilogue.residual ? &inputs[1] : nullptr, i);
      }
    }
    return y;
  };
  out.training = training;
  return out;
}

std::vector<OpCase> batch_norm_cases() {
  OpCase far = batch_norm_case("far_from_zero", {4, 5, 6, 9}, {});
  far.inputs[0].fill = uniform(100, 101);
  far.tolerance = 1e-4;  // the inputs themselves are known to 4e-6 of their spread only
  far.gradient_tolerance = 1e-4;
  return {
      batch_norm_case("images", {3, 5, 4, 8}, {}),
      batch_norm_case("rows", {11, 75}, {}),
      batch_norm_case("one_channel", {2, 3, 5, 1}, {Activation::relu}),
      batch_norm_case("relu", {2, 7, 5, 16}, {Activation::relu}),
      batch_norm_case("relu_affine", {2, 7, 5, 7}, {Activation::relu, true}),
      batch_norm_case("relu_affine_residual", {2, 7, 5, 24}, {Activation::relu, true, true}),
      batch_norm_case("residual", {3, 2, 2, 8}, {Activation::none, false, true}),
      batch_norm_case("hardswish_affine", {2, 3, 3, 20}, {Activation::hardswish, true}),
      batch_norm_case("many_rows", {2, 40, 41, 3}, {Activation::relu}),
      batch_norm_case("infer_images", {3, 5, 4, 8}, {}, false),
      batch_norm_case("infer_relu_affine_residual", {2, 5, 4, 7}, {Activation::relu, true, true}, false),
      far,
  };
}

OpCase activation_case(Activation activation, const Shape& x) {
  OpCase out;
  out.name = concat("activation/", activation_text(activation));
  out.op = std::make_shared<ActivationOp>(activation);
  out.inputs = {{x, uniform(-6, 6)}};
  out.reference = [=](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    for (double& value : y.values) value = activate(activation, value);
    return y;
  };
  return out;
}

OpCase affine_case(const Shape& x) {
  OpCase out;
  out.name = concat("affine/", x.text());
  out.op = std::make_shared<Affine>();
  out.inputs = {{x}};
  out.parameters = {{{1}}, {{1}}};
  out.reference = [](std::span<const Array> inputs, std::span<Array> p) {
    Array y = inputs[0];
    for (double& value : y.values) value = p[0][0] * value + p[1][0];
    return y;
  };
  return out;
}

OpCase add_case(size_t terms, const Shape& x) {
  OpCase out;
  out.name = concat("add/", terms);
  out.op = std::make_shared<Add>(terms);
  out.inputs.assign(terms, {x});
  out.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    for (const Array& term : inputs.subspan(1))
      for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] += term[i];
    return y;
  };
  return out;
}

OpCase concat_case(const char* name, std::vector<Shape> shapes) {
  OpCase out;
  out.name = concat("concat/", name);
  out.op = std::make_shared<Concat>();
  for (const Shape& shape : shapes) out.inputs.push_back({shape});
  out.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Shape shape = inputs[0].shape;
    for (const Array& input : inputs.subspan(1)) shape[-1] += input.shape[-1];
    Array y(shape);
    int64_t i = 0;
    for (int64_t r = 0; r < shape.rows(); ++r)
      for (const Array& input : inputs)
        for (int64_t c = 0; c < input.shape[-1]; ++c) y[i++] = input[r * input.shape[-1] + c];
    return y;
  };
  return out;
}

OpCase channel_gate_case(const char* name, const Shape& x, const Shape& gate) {
  OpCase out;
  out.name = concat("channel_gate/", name);
  out.op = std::make_shared<ChannelGate>();
  out.inputs = {{x}, {gate}};
  out.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    const int64_t C = y.shape[3], image = y.shape[1] * y.shape[2] * C;
    for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] *= inputs[1][i / image * C + i % C];
    return y;
  };
  return out;
}

OpCase global_average_pool_case(const char* name, const Shape& x, bool map) {
  OpCase out;
  out.name = concat("global_average_pool/", name);
  out.op = std::make_shared<GlobalAveragePool>(map);
  out.inputs = {{x}};
  out.reference = [map](std::span<const Array> inputs, std::span<Array>) {
    const Shape& shape = inputs[0].shape;
    const int64_t N = shape[0], P = shape[1] * shape[2], C = shape[3];
    Array y(map ? Shape{N, 1, 1, C} : Shape{N, C});
    for (int64_t i = 0; i < N * P * C; ++i)
      y[i / (P * C) * C + i % C] += inputs[0][i] / static_cast<double>(P);
    return y;
  };
  return out;
}

OpCase max_pool_case(const char* name, const Shape& x, const Window& w, PoolPadding padding) {
  auto op = std::make_shared<MaxPool>();
  op->window = w;
  op->padding = padding;
  OpCase out;
  out.name = concat("max_pool/", name);
  out.bf16_tolerance *= 3;  // a gradient is a sum of up to four windows, rounded each time
  out.op = op;
  out.inputs = {{x}};
  out.reference = [=](std::span<const Array> inputs, std::span<Array>) {
    Array y({x[0], w.output_height(x[1]), w.output_width(x[2]), x[3]});
    for (int64_t n = 0; n < x[0]; ++n)
      for (int64_t oy = 0; oy < y.shape[1]; ++oy)
        for (int64_t ox = 0; ox < y.shape[2]; ++ox)
          for (int64_t c = 0; c < x[3]; ++c) {
            double best = -INFINITY;
            for (int64_t ky = 0; ky < w.kernel_h; ++ky)
              for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
                const int64_t iy = oy * w.stride_h - w.top + ky, ix = ox * w.stride_w - w.left + kx;
                const bool inside = iy >= 0 && iy < x[1] && ix >= 0 && ix < x[2];
                if (inside)
                  best = std::max(
                      best, inputs[0].values[static_cast<size_t>(((n * x[1] + iy) * x[2] + ix) * x[3] + c)]);
                if (!inside && padding == PoolPadding::zero) best = std::max(best, 0.0);
              }
            y(n, oy, ox, c) = best;
          }
    return y;
  };
  return out;
}

OpCase linear_case(const char* name, const Shape& x, int64_t outputs, bool bias) {
  auto op = std::make_shared<Linear>();
  op->outputs = outputs;
  op->bias = bias;
  const int64_t K = x[-1];
  OpCase out;
  out.name = concat("linear/", name);
  out.op = op;
  out.inputs = {{x}};
  out.parameters = {{{outputs, K}}};
  if (bias) out.parameters.push_back({{outputs}});
  out.reference = [=](std::span<const Array> inputs, std::span<Array> p) {
    Shape shape = x;
    shape[-1] = outputs;
    Array y(shape);
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const int64_t r = i / outputs, m = i % outputs;
      if (bias) y[i] = p[1][m];
      for (int64_t k = 0; k < K; ++k) y[i] += inputs[0][r * K + k] * p[0][m * K + k];
    }
    return y;
  };
  out.thread_independent = false;  // oneDNN's matrix product
  return out;
}

OpCase l2_normalize_case(const Shape& x) {
  OpCase out;
  out.name = concat("l2_normalize/", x.text());
  out.op = std::make_shared<L2Normalize>();
  out.inputs = {{x, uniform(0.2, 1)}};  // the gradient of a short row is the difference of large numbers
  out.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    const int64_t C = y.shape[-1];
    for (int64_t r = 0; r < y.shape.rows(); ++r) {
      double square = 0;
      for (int64_t c = 0; c < C; ++c) square += y[r * C + c] * y[r * C + c];
      for (int64_t c = 0; c < C; ++c) y[r * C + c] /= std::sqrt(square);
    }
    return y;
  };
  return out;
}

/// The op's contract, word for word: element c of global row r is dropped when its draw lies below the rate.
bool dropped(int64_t row, int64_t c, double rate) {
  const auto global_row = static_cast<uint32_t>(kCaseStep.first_row + row);
  const PhiloxBlock draw = philox(kCaseStep.seed ^ kCaseNodeKey, static_cast<uint32_t>(c), global_row,
                                  static_cast<uint32_t>(kCaseStep.step), 0);
  return unit_float(draw.word[0]) < static_cast<float>(rate);
}

OpCase dropout_case(const char* name, const Shape& x, double rate, DropoutScale scale, bool training) {
  auto op = std::make_shared<Dropout>();
  op->rate = rate;
  op->scale = scale;
  OpCase out;
  out.name = concat("dropout/", name);
  out.op = op;
  out.inputs = {{x}};
  out.reference = [=](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    const int64_t width = x.elements() / x[0];
    const bool upscale = scale == DropoutScale::upscale_in_train;
    for (int64_t i = 0; i < x.elements(); ++i) {
      if (!training) y[i] *= upscale ? 1 : 1 - rate;
      if (training) y[i] *= dropped(i / width, i % width, rate) ? 0 : upscale ? 1 / (1 - rate) : 1;
    }
    return y;
  };
  out.training = training;
  return out;
}

OpCase reshape_case() {
  OpCase out;
  out.name = "reshape/flatten";
  out.op = std::make_shared<Reshape>(Shape{3, 10});
  out.inputs = {{{3, 1, 2, 5}}};
  out.reference = [](std::span<const Array> inputs, std::span<Array>) {
    Array y({3, 10});
    y.values = inputs[0].values;
    return y;
  };
  return out;
}

std::vector<OpCase> elementwise_cases() {
  return {
      activation_case(Activation::relu, {3, 75}),
      activation_case(Activation::hardswish, {2, 5, 7, 8}),
      activation_case(Activation::hardsigmoid, {2, 1, 1, 33}),
      activation_case(Activation::sigmoid, {4, 19}),
      activation_case(Activation::gelu, {5, 3, 17}),
      affine_case({2, 3, 5, 8}),
      affine_case({1, 1}),
      affine_case({7, 300}),
      add_case(2, {2, 5, 7, 8}),
      add_case(5, {3, 11}),
      dropout_case("train", {3, 2, 75}, 0.4, DropoutScale::upscale_in_train, true),
      dropout_case("train_paddle", {2, 65}, 0.2, DropoutScale::downscale_in_infer, true),
      dropout_case("infer", {2, 65}, 0.2, DropoutScale::upscale_in_train, false),
      dropout_case("infer_paddle", {2, 65}, 0.2, DropoutScale::downscale_in_infer, false),
      reshape_case(),
  };
}

std::vector<OpCase> channel_cases() {
  return {
      concat_case("two", {{2, 3, 5, 8}, {2, 3, 5, 1}}),
      concat_case("four", {{7, 16}, {7, 75}, {7, 7}, {7, 33}}),
      channel_gate_case("rows", {2, 5, 3, 24}, {2, 24}),
      channel_gate_case("map", {3, 1, 1, 7}, {3, 1, 1, 7}),
      global_average_pool_case("rows", {2, 7, 5, 75}, false),
      global_average_pool_case("map", {3, 1, 8, 130}, true),
      max_pool_case("two_bottom_right", {2, 5, 6, 8}, Window::same(2), PoolPadding::lowest),
      max_pool_case("two_bottom_right_zeros", {2, 5, 6, 8}, Window::same(2), PoolPadding::zero),
      max_pool_case("three_stride_2", {1, 8, 7, 17}, Window::same(3, 2), PoolPadding::lowest),
      max_pool_case("three_stride_2_zeros", {1, 8, 7, 17}, Window::same(3, 2), PoolPadding::zero),
      max_pool_case("valid", {2, 6, 6, 3}, Window::valid(2, 2), PoolPadding::lowest),
      max_pool_case("rectangle", {1, 7, 8, 5}, {2, 3, 1, 2, 1, 0, 0, 2}, PoolPadding::lowest),
      max_pool_case("one_pixel", {2, 1, 1, 1}, Window::same(3, 2), PoolPadding::lowest),
  };
}

std::vector<OpCase> row_cases() {
  return {
      linear_case("bias", {5, 24}, 10, true),
      linear_case("no_bias", {2, 3, 7}, 75, false),
      linear_case("one", {1, 1}, 1, true),
      l2_normalize_case({5, 64}),
      l2_normalize_case({3, 1}),
      l2_normalize_case({2, 2, 75}),
  };
}

KINDRED_OP_CASES(batch_norm_cases);
KINDRED_OP_CASES(elementwise_cases);
KINDRED_OP_CASES(channel_cases);
KINDRED_OP_CASES(row_cases);

}  // namespace
}  // namespace kindred::test
