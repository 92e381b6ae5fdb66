// Values that any language can make again from a tensor's name: weights and input of the golden outputs.
#pragma once

#include <cmath>
#include <string_view>

#include "common/base/hash.h"
#include "common/engine/parameters.h"

namespace kindred::test {

/// In [0, 1): element `i` (row-major, the file's layout) of the tensor `name`.
inline double hash_unit(std::string_view name, int64_t i) {
  uint32_t x = static_cast<uint32_t>(i) * 2654435761u + fnv1a32(name);
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  x ^= x >> 16;
  return x * 0x1p-32;
}

/// Weights keep the size of what passes through them; norms, biases and affine blocks are made to matter.
inline double hash_weight(const ParamInfo& info, int64_t i) {
  const std::string_view name = info.name;
  const double u = hash_unit(name, i), centred = u - 0.5;
  const bool affine_bias = name.ends_with(".lab.bias") || name == "head.last_conv.2.bias";
  if (name.ends_with("relative_position_bias_table")) return centred;
  if (affine_bias) return 0.5 * centred;
  if (name.ends_with("bias") || name.ends_with("running_mean")) return 0.2 * centred;
  if (info.file_shape.rank() < 2) return 0.5 + u;  // norm weights, running variances, affine scales
  const auto fan_in = static_cast<double>(info.file_shape.elements() / info.file_shape[0]);
  return 2 * centred * std::sqrt(3 / fan_in);
}

/// Fills frozen parameters.
inline void hash_fill(ParameterSet& parameters) {
  for (int id = 0; id < parameters.count(); ++id) {
    const ParamInfo& info = parameters.info({id});
    std::vector<float> values(static_cast<size_t>(info.file_shape.elements()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(hash_weight(info, static_cast<int64_t>(i)));
    parameters.set_from_file_layout({id}, values);
  }
  parameters.touch();
}

/// Fills images [N,H,W,3] from the tensor "input" [N,3,H,W], in [-1, 1).
inline void hash_fill_input(const Tensor& images) {
  const int64_t pixels = images.shape()[1] * images.shape()[2], count = images.elements();
  for (int64_t i = 0; i < count; ++i) {  // i: of the NCHW array
    const int64_t n = i / (3 * pixels), c = i / pixels % 3, pixel = i % pixels;
    images.f32()[(n * pixels + pixel) * 3 + c] = static_cast<float>(2 * (hash_unit("input", i) - 0.5));
  }
}

}  // namespace kindred::test
