// Values that any language can make again from a tensor's name: weights and input of the golden outputs.
#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "common/base/hash.h"
#include "common/base/parallel.h"
#include "common/engine/parameters.h"

namespace kindred::test {

/// In [0, 1): element `i` (row-major, the file's layout) of the tensor whose name has this FNV-1a hash.
inline double hash_unit(uint32_t name, int64_t i) {
  uint32_t x = static_cast<uint32_t>(i) * 2654435761u + name;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  x ^= x >> 16;
  return x * 0x1p-32;
}

/// Values lie in [low, low + width).
struct HashRange {
  double low, width;
};

/// Weights keep the size of what passes through them; norms, biases and affine blocks are made to matter.
inline HashRange hash_range(const ParamInfo& info) {
  const std::string_view name = info.name;
  if (name.ends_with("relative_position_bias_table")) return {-0.5, 1};
  if (name.ends_with(".lab.bias") || name == "head.last_conv.2.bias") return {-0.25, 0.5};
  if (name.ends_with("bias") || name.ends_with("running_mean")) return {-0.1, 0.2};
  if (info.file_shape.rank() < 2) return {0.5, 1};  // norm weights, running variances, affine scales
  const auto fan_in = static_cast<double>(info.file_shape.elements() / info.file_shape[0]);
  return {-std::sqrt(3 / fan_in), 2 * std::sqrt(3 / fan_in)};
}

/// Fills frozen parameters.
inline void hash_fill(ParameterSet& parameters) {
  for (int id = 0; id < parameters.count(); ++id) {
    const ParamInfo& info = parameters.info({id});
    const HashRange range = hash_range(info);
    const uint32_t name = fnv1a32(info.name);
    std::vector<float> values(static_cast<size_t>(info.file_shape.elements()));
    parallel_for(
        static_cast<int64_t>(values.size()),
        [&](int64_t i) {
          values[static_cast<size_t>(i)] = static_cast<float>(range.low + range.width * hash_unit(name, i));
        },
        4096);
    parameters.set_from_file_layout({id}, values);
  }
  parameters.touch();
}

/// Fills images [N,H,W,3] from the tensor "input" [N,3,H,W], in [-1, 1).
inline void hash_fill_input(const Tensor& images) {
  const int64_t pixels = images.shape()[1] * images.shape()[2], count = images.elements();
  for (int64_t i = 0; i < count; ++i) {  // i: of the NCHW array
    const int64_t n = i / (3 * pixels), c = i / pixels % 3, pixel = i % pixels;
    images.f32()[(n * pixels + pixel) * 3 + c] =
        static_cast<float>(2 * (hash_unit(fnv1a32("input"), i) - 0.5));
  }
}

}  // namespace kindred::test
