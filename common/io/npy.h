// NumPy's .npy files, versions 1 to 3, C order. Source: numpy.lib.format documentation.
#pragma once

#include <string>
#include <string_view>

#include "common/base/tensor.h"

namespace kindred {

/// f32, i32, i64 or u8 arrays (little-endian, C order). Throws Error naming the file and the fault.
Tensor read_npy(const std::string& path);
Tensor parse_npy(std::string_view bytes, std::string_view name);
/// Writes atomically.
void write_npy(const std::string& path, const Tensor& array);

}  // namespace kindred
