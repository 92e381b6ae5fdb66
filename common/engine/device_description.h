// A GPU as a file describes it (configs/devices): what cuDNN plans for without one, and the rates that an
// estimate of time divides by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/tensor.h"

namespace kindred {

struct DeviceDescription {
  std::string name;            // "NVIDIA H100 80GB HBM3"
  int compute_capability = 0;  // 90 is 9.0
  int64_t memory_bytes = 0;
  double bytes_per_s = 0;  // of its memory
  /// Multiplications and additions a second at most, of dense products; 0: it has no such arithmetic.
  double f32_flops = 0, f16_flops = 0, bf16_flops = 0;
  std::string cudnn_json;  // the section "cudnn", in cuDNN's own keys

  double flops(DType dtype) const;
  /// "NVIDIA H100 80GB HBM3 (compute capability 9.0)"
  std::string text() const;
};

/// Reads and checks a description. cuDNN trusts these numbers, so every key must be there, within its bounds,
/// and no other. Throws Error naming `what`, the key, what was found and what was expected.
DeviceDescription parse_device_description(std::string_view json, std::string_view what);

/// The same from a file.
DeviceDescription open_device_description(const std::string& path);

}  // namespace kindred
