// Conversions between float formats, against arithmetic on what the bits mean.
#include "common/io/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace kindred {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What the bits of a binary16 mean.
double meaning(int bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 & 1 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(fraction + 1024, exponent - 25);
}

TEST(FloatFormats, EveryHalfIsReadExactlyAndWrittenBack) {
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    const double want = meaning(bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value)))) << bits;
    } else {
      ASSERT_EQ(value, want) << bits;
      ASSERT_EQ(std::signbit(value), std::signbit(want)) << bits;
      ASSERT_EQ(f32_to_f16(value), bits) << bits;
    }
  }
}

TEST(FloatFormats, HalvesAreTheNearestAndTiesGoToEven) {
  constexpr int kHalfInfinity = 0x7c00;
  for (int bits = 0; bits + 1 < kHalfInfinity; ++bits) {
    const float low = f16_to_f32(static_cast<uint16_t>(bits)),
                high = f16_to_f32(static_cast<uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact: f32 has more bits
    const int even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(f32_to_f16(middle), even) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.f)), bits) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, kInfinity)), bits + 1) << bits;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << bits;
  }
}

TEST(FloatFormats, WhatIsTooLargeBecomesInfinity) {
  EXPECT_EQ(f32_to_f16(65519.f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.f), 0x7c00);  // half way between 65504 and 65536: to even
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7c00);
}

TEST(FloatFormats, WhatIsTooSmallBecomesZero) {
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);  // half of the smallest: to even
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 1);
  EXPECT_EQ(f32_to_f16(-1e-30f), 0x8000);
}

TEST(FloatFormats, ListsGoThroughEveryFormatUnaligned) {
  const std::vector<float> values{0, 1, -2.5f, 0.125f};
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    std::string bytes(1, 'x');
    bytes += from_f32(values, dtype);
    EXPECT_EQ(to_f32(std::string_view(bytes).substr(1), dtype), values) << dtype_text(dtype);
  }
  const double doubles[] = {0, 1, -2.5, 0.125};
  EXPECT_EQ(to_f32({reinterpret_cast<const char*>(doubles), sizeof doubles}, DType::f64), values);
}

TEST(FloatFormats, WholeNumbersAreNoFloats) {
  EXPECT_TRUE(is_float(DType::f64));
  EXPECT_FALSE(is_float(DType::i64));
  EXPECT_FALSE(is_float(DType::u8));
}

}  // namespace
}  // namespace kindred
