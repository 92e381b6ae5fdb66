// Conversions between float formats, against arithmetic on what the bits mean.
#include "common/io/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace kindred {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What the bits of a format with so many bits of exponent and fraction mean.
double meaning(int bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1, all_ones = (1 << exponent_bits) - 1;
  const int exponent = bits >> fraction_bits & all_ones, fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;
  if (exponent == all_ones) return fraction == 0 ? sign * HUGE_VAL : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

struct Format {
  const char* name;
  int exponent_bits, fraction_bits;
  float (*read)(uint16_t);
  uint16_t (*write)(float);
};

class FloatFormat : public testing::TestWithParam<Format> {};

TEST_P(FloatFormat, EveryPatternIsReadExactlyAndWrittenBack) {
  const Format& format = GetParam();
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const float value = format.read(static_cast<uint16_t>(bits));
    const double want = meaning(bits, format.exponent_bits, format.fraction_bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(format.read(format.write(value)))) << bits;
    } else {
      ASSERT_EQ(value, want) << bits;
      ASSERT_EQ(std::signbit(value), std::signbit(want)) << bits;
      ASSERT_EQ(format.write(value), bits) << bits;
    }
  }
}

TEST_P(FloatFormat, RoundsToTheNearestAndTiesToEven) {
  const Format& format = GetParam();
  const int infinity = ((1 << format.exponent_bits) - 1) << format.fraction_bits;
  for (int bits = 0; bits + 1 < infinity; ++bits) {
    const float low = format.read(static_cast<uint16_t>(bits)),
                high = format.read(static_cast<uint16_t>(bits + 1));
    const float middle = low / 2 + high / 2;  // exact: f32 has more bits, but for bf16's last subnormal
    if (middle == low || middle == high) continue;
    const int even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(format.write(middle), even) << bits;
    ASSERT_EQ(format.write(std::nextafter(middle, 0.f)), bits) << bits;
    ASSERT_EQ(format.write(std::nextafter(middle, kInfinity)), bits + 1) << bits;
    ASSERT_EQ(format.write(-middle), even | 0x8000) << bits;
  }
}

constexpr Format kFormats[] = {{"f16", 5, 10, f16_to_f32, f32_to_f16},
                               {"bf16", 8, 7, bf16_to_f32, f32_to_bf16}};

std::string format_name(const testing::TestParamInfo<Format>& format) { return format.param.name; }

INSTANTIATE_TEST_SUITE_P(Halves, FloatFormat, testing::ValuesIn(kFormats), format_name);

TEST(FloatFormats, WhatIsTooLargeBecomesInfinity) {
  EXPECT_EQ(f32_to_f16(65519.f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.f), 0x7c00);  // half way between 65504 and 65536: to even
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7c00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
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
