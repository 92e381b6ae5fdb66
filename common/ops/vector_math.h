// exp and erf that the CPU's vector loops can hold: no branches, no calls, within two units in the last
// place. On a GPU they are the device's own.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "common/engine/launch.h"

namespace kindred {

/// e^x, on the CPU for x held in [-87.3, 88.3]: never zero, never infinite. NaN stays NaN.
KINDRED_DEV inline float vector_exp(float x) {
#if defined(__CUDACC__)
  return expf(x);
#else
  // x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its series, 2^n by its exponent bits. Adding 1.5 * 2^23
  // rounds to n.
  constexpr float kMagic = 12582912.0f, kLow = -87.3f, kHigh = 88.3f;
  x = x < kLow ? kLow : x;
  x = x > kHigh ? kHigh : x;
  const float shifted = x * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts
  float series = 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = (series * r) * r + r;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kMagic);
  const float power = std::bit_cast<float>((exponent + 127) << 23);
  return series * power + power;
#endif
}

/// The error function, to 3e-7.
KINDRED_DEV inline float vector_erf(float x) {
#if defined(__CUDACC__)
  return erff(x);
#else
  // x P(x^2) / Q(x^2), fitted on [-3.9, 3.9] (error 1.7e-8); beyond, the function is 1 to single precision.
  x = x < -3.9f ? -3.9f : x;
  x = x > 3.9f ? 3.9f : x;
  const float u = x * x;
  float p = 2.06650929e-6f;
  p = p * u + 2.850399998e-4f;
  p = p * u + 3.737629087e-3f;
  p = p * u + 5.266582232e-2f;
  p = p * u + 1.896509421e-1f;
  p = p * u + 1.128379148f;
  float q = 3.826924955e-5f;
  q = q * u + 1.157191667e-3f;
  q = q * u + 1.491283569e-2f;
  q = q * u + 1.138122506e-1f;
  q = q * u + 5.01406556e-1f;
  q = q * u + 1.0f;
  return x * p / q;
#endif
}

}  // namespace kindred
