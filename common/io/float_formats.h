// Floating-point formats of weight files, to f32 and back. Source: IEEE 754 (binary16).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/tensor.h"

namespace kindred {

/// Exact, NaN's payload included.
float f16_to_f32(uint16_t bits);
/// To the nearest, ties to even; what is too large becomes an infinity, a NaN stays one.
uint16_t f32_to_f16(float value);

/// f32, bf16, f16 or f64.
bool is_float(DType dtype);

/// The numbers that `bytes` hold, which may be unaligned; f64 is rounded to the nearest. Requires: is_float.
std::vector<float> to_f32(std::string_view bytes, DType dtype);

/// Numbers as a file stores them. Requires: f32, bf16 or f16.
std::string from_f32(std::span<const float> values, DType dtype);

}  // namespace kindred
