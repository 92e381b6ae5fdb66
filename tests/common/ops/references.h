// Plain loops in double that several tables of op cases share.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "common/ops/conv_tail.h"
#include "common/ops/window.h"
#include "tests/support/op_case.h"

namespace kindred::test {

inline double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(0.0, x);
    case Activation::hardswish:
      return x * std::clamp(x + 3, 0.0, 6.0) / 6;
    case Activation::hardsigmoid:
      return std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::gelu:
      return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
  }
  return NAN;
}

/// scale act(v) + bias + residual[i]; `affine`: scale and bias, empty without.
inline double finish(const Epilogue& epilogue, double v, std::span<const Array> affine, const Array* residual,
                     int64_t i) {
  double y = activate(epilogue.activation, v);
  if (epilogue.affine) y = affine[0][0] * y + affine[1][0];
  return residual != nullptr ? y + (*residual)[i] : y;
}

/// Convolution with weight [O, kh, kw, C / groups], then the tail; parameters in the ops' order.
inline Array convolve(std::span<const Array> inputs, std::span<const Array> parameters, const Window& w,
                      int64_t outputs, int64_t groups, bool bias, const ConvTail& tail) {
  const Array &x = inputs[0], &weight = parameters[0];
  const int64_t N = x.shape[0], H = x.shape[1], W = x.shape[2], in = x.shape[3] / groups,
                out = outputs / groups;
  Array y({N, w.output_height(H), w.output_width(W), outputs});
  const size_t norm = bias ? 2 : 1, affine = norm + (tail.batch_norm ? 4 : 0);
  int64_t i = 0;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t oy = 0; oy < y.shape[1]; ++oy)
      for (int64_t ox = 0; ox < y.shape[2]; ++ox)
        for (int64_t o = 0; o < outputs; ++o, ++i) {
          double v = bias ? parameters[1][o] : 0;
          for (int64_t ky = 0; ky < w.kernel_h; ++ky)
            for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
              const int64_t iy = oy * w.stride_h - w.top + ky, ix = ox * w.stride_w - w.left + kx;
              if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
              const int64_t pixel = ((n * H + iy) * W + ix) * x.shape[3] + o / out * in;
              const int64_t tap = ((o * w.kernel_h + ky) * w.kernel_w + kx) * in;
              for (int64_t c = 0; c < in; ++c) v += x[pixel + c] * weight[tap + c];
            }
          if (tail.batch_norm) {
            const auto p = parameters.subspan(norm);
            v = (v - p[2][o]) / std::sqrt(p[3][o] + tail.eps) * p[0][o] + p[1][o];
          }
          y[i] = finish(tail.epilogue, v, parameters.subspan(affine),
                        tail.epilogue.residual ? &inputs[1] : nullptr, i);
        }
  return y;
}

/// The parameters behind a convolution's weight: bias, the batch norm's, the affine block's.
inline void add_tail_parameters(std::vector<CaseParameter>& parameters, int64_t channels, bool bias,
                                const ConvTail& tail) {
  if (bias) parameters.push_back({{channels}});
  if (tail.batch_norm) {
    parameters.push_back({{channels}, uniform(0.5, 1.5)});
    parameters.push_back({{channels}});
    parameters.push_back({{channels}, uniform(-1, 1), false});
    parameters.push_back({{channels}, uniform(0.5, 2), false});
  }
  if (tail.epilogue.affine) {
    parameters.push_back({{1}, uniform(0.5, 1.5)});
    parameters.push_back({{1}});
  }
}

}  // namespace kindred::test
