#include "common/io/float_formats.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/base/bfloat16.h"

namespace kindred {

namespace {

/// `value` without its lowest `bits`, rounded to the nearest, ties to even.
uint32_t shift_rounded(uint32_t value, uint32_t bits) {
  const uint32_t half = uint32_t{1} << (bits - 1), odd = value >> bits & 1;
  return (value + half - 1 + odd) >> bits;
}

template <class Stored, class Convert>
std::vector<float> read_all(std::string_view bytes, Convert convert) {
  std::vector<float> values(bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof stored, sizeof stored);
    values[i] = convert(stored);
  }
  return values;
}

template <class Convert>
std::string write_halves(std::span<const float> values, Convert convert) {
  std::string bytes(values.size() * sizeof(uint16_t), '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
  }
  return bytes;
}

}  // namespace

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: a multiple of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;  // 127 - 15
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu, exponent = magnitude >> 23;
  uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;              // a quiet NaN
  } else if (exponent >= 143) {  // 2^16 and beyond
    half = 0x7c00u;
  } else if (exponent >= 113) {  // normal; a carry out of the fraction moves the exponent, up to infinity
    half = shift_rounded(magnitude - (112u << 23), 13);
  } else if (exponent >= 102) {  // subnormal: the hidden bit comes into the fraction
    half = shift_rounded((magnitude & 0x7fffffu) | 0x800000u, 126 - exponent);
  }
  return static_cast<uint16_t>(sign | half);
}

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64;
}

std::vector<float> to_f32(std::string_view bytes, DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return read_all<uint16_t>(bytes, [](uint16_t bits) {
        BFloat16 value;
        value.bits = bits;
        return static_cast<float>(value);
      });
    case DType::f16:
      return read_all<uint16_t>(bytes, f16_to_f32);
    case DType::f64:
      return read_all<double>(bytes, [](double value) { return static_cast<float>(value); });
    default:
      KINDRED_ASSERT(dtype == DType::f32);
      return read_all<float>(bytes, [](float value) { return value; });
  }
}

std::string from_f32(std::span<const float> values, DType dtype) {
  if (dtype == DType::bf16) return write_halves(values, to_bfloat16_bits);
  if (dtype == DType::f16) return write_halves(values, f32_to_f16);
  KINDRED_ASSERT(dtype == DType::f32);
  std::string bytes(values.size_bytes(), '\0');
  std::copy_n(reinterpret_cast<const char*>(values.data()), bytes.size(), bytes.data());
  return bytes;
}

}  // namespace kindred
