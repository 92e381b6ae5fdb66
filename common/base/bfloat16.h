// bfloat16 as a type of storage: the upper half of a binary32. Values are widened exactly, computed with in
// fp32, and rounded when they are stored, so that one body `y[i] = f(x[i])` serves float and BFloat16 memory.
#pragma once

#include <cstdint>

#include "common/base/tensor.h"

#if defined(__CUDACC__)
#define KINDRED_BFLOAT16 __host__ __device__ inline
#else
#define KINDRED_BFLOAT16 inline
#endif

namespace kindred {

/// The nearest bfloat16's bits, ties to even; what is too large becomes an infinity, a NaN stays one (quiet,
/// with the upper bits of its payload). No branches: the CPU's vector loops hold it.
KINDRED_BFLOAT16 uint16_t to_bfloat16_bits(float value) {
  const auto bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, quiet = bits >> 16 | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  // Member by member, because a copy of a whole struct would keep a loop from becoming a vector loop.
  KINDRED_BFLOAT16 BFloat16(const BFloat16& other) : bits(other.bits) {}
  KINDRED_BFLOAT16 BFloat16& operator=(const BFloat16& other) {
    bits = other.bits;
    return *this;
  }
  KINDRED_BFLOAT16 explicit BFloat16(float value) : bits(to_bfloat16_bits(value)) {}
  KINDRED_BFLOAT16 BFloat16& operator=(float value) {
    bits = to_bfloat16_bits(value);
    return *this;
  }
  KINDRED_BFLOAT16 BFloat16& operator+=(float value) { return *this = static_cast<float>(*this) + value; }
  /// Exact.
  KINDRED_BFLOAT16 operator float() const {
    return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
  }
};
static_assert(sizeof(BFloat16) == 2);

template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::bf16;
}

}  // namespace kindred
