// Activations and their derivatives as device functions, and the step from a runtime Activation to a
// compile-time one.
#pragma once

#include "common/engine/launch.h"
#include "common/ops/activation.h"
#include "common/ops/vector_math.h"

namespace kindred {

KINDRED_DEV inline float clip(float x, float low, float high) {
  const float above = x < low ? low : x;
  return above > high ? high : above;
}

KINDRED_DEV inline float sigmoid(float x) { return 1 / (1 + vector_exp(-x)); }

/// The normal distribution's cumulative function, and its density.
KINDRED_DEV inline float normal_cdf(float x) { return 0.5f * (1 + vector_erf(x * 0.70710678f)); }
KINDRED_DEV inline float normal_pdf(float x) { return 0.39894228f * vector_exp(-0.5f * x * x); }

template <Activation A>
KINDRED_DEV inline float activate(float x) {
  if constexpr (A == Activation::relu) return x > 0 ? x : 0;
  if constexpr (A == Activation::hardswish) return x * clip(x + 3, 0, 6) * (1.0f / 6);
  if constexpr (A == Activation::hardsigmoid) return clip(x * (1.0f / 6) + 0.5f, 0, 1);
  if constexpr (A == Activation::sigmoid) return sigmoid(x);
  if constexpr (A == Activation::gelu) return x * normal_cdf(x);
  return x;
}

/// d act / dx; at a kink the derivative of the flat side.
template <Activation A>
KINDRED_DEV inline float activation_slope(float x) {
  if constexpr (A == Activation::relu) return x > 0 ? 1.0f : 0.0f;
  if constexpr (A == Activation::hardswish) {
    const float inside = (2 * x + 3) * (1.0f / 6);
    return x <= -3 ? 0 : x >= 3 ? 1 : inside;
  }
  if constexpr (A == Activation::hardsigmoid) return x > -3 && x < 3 ? 1.0f / 6 : 0.0f;
  if constexpr (A == Activation::sigmoid) {
    const float y = sigmoid(x);
    return y * (1 - y);
  }
  if constexpr (A == Activation::gelu) return normal_cdf(x) + x * normal_pdf(x);
  return 1;
}

/// body.template run<A>() with the activation as A: loops over elements must not ask which one it is.
template <class Body>
void with_activation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::none:
      return body.template run<Activation::none>();
    case Activation::relu:
      return body.template run<Activation::relu>();
    case Activation::hardswish:
      return body.template run<Activation::hardswish>();
    case Activation::hardsigmoid:
      return body.template run<Activation::hardsigmoid>();
    case Activation::sigmoid:
      return body.template run<Activation::sigmoid>();
    case Activation::gelu:
      return body.template run<Activation::gelu>();
  }
}

}  // namespace kindred
