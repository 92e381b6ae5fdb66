// What a convolution's bias and batch norm come to in inference: v -> scale(c) v + shift(c), channel by
// channel.
#pragma once

#include <cmath>

#include "common/engine/launch.h"
#include "common/ops/conv_tail.h"

namespace kindred {

/// Pointers are null for what the convolution has not.
struct ChannelFold {
  const float* bias = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  float eps = 0;

  ChannelFold(const ConvParameters& parameters, double batch_norm_eps)
      : eps(static_cast<float>(batch_norm_eps)) {
    if (parameters.bias) bias = parameters.bias.f32();
    if (!parameters.gamma) return;
    gamma = parameters.gamma.f32();
    beta = parameters.beta.f32();
    mean = parameters.mean.f32();
    variance = parameters.variance.f32();
  }

  KINDRED_DEV float scale(int64_t c) const {
    return gamma != nullptr ? gamma[c] / sqrtf(variance[c] + eps) : 1.0f;
  }
  KINDRED_DEV float shift(int64_t c) const {
    const float before = bias != nullptr ? bias[c] : 0.0f;
    return gamma != nullptr ? beta[c] + (before - mean[c]) * scale(c) : before;
  }
};

}  // namespace kindred
