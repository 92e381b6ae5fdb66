// A turned cosine, for margins that are added to angles.
#pragma once

#include "trainer/losses/class_softmax.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

/// cos(factor * t + angle), where cos t = cosine, and its slope over cosine. A turned angle past pi goes on
/// in a straight line of slope 1, so that the logit keeps falling; one below 0 counts as 0.
KINDRED_DEV inline Logit turned(float cosine, float factor, float angle) {
  constexpr float kPi = 3.14159265f, kLeastSine = 1e-3f;  // at smaller angles the slope would grow unbounded
  const float clamped = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
  const float turned = factor * acosf(clamped) + angle;
  if (turned <= 0) return {1, 0};
  if (turned >= kPi) return {-1 - (cosf((kPi - angle) / factor) - cosine), 1};
  const float sine = sqrtf(1 - clamped * clamped);
  return {cosf(turned) + (cosine - cosine), factor * sinf(turned) / (sine > kLeastSine ? sine : kLeastSine)};
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
