#include "common/base/bfloat16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace kindred {
namespace {

float from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
bool is_nan(uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }

TEST(BFloat16, WidensEveryPatternToTheUpperHalfAndBack) {
  int wrong = 0;
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    BFloat16 value;
    value.bits = static_cast<uint16_t>(pattern);
    const uint32_t wide = std::bit_cast<uint32_t>(static_cast<float>(value));
    const uint32_t quiet = is_nan(pattern << 16) ? pattern | 0x40u : pattern;
    wrong += wide != pattern << 16 || BFloat16(from_bits(wide)).bits != quiet;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(BFloat16, RoundsWhatLiesBetweenTwoNeighboursToTheNearerAndTiesToEven) {
  int wrong = 0;
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    if (is_nan(pattern << 16) || is_nan((pattern + 1) << 16)) continue;  // from the largest finite on: below
    const uint32_t bits = pattern << 16;
    const auto rounded = [&](uint32_t lower) { return BFloat16(from_bits(bits | lower)).bits; };
    wrong += rounded(0x0001) != pattern || rounded(0x7fff) != pattern;
    wrong += rounded(0x8001) != pattern + 1 || rounded(0xffff) != pattern + 1;
    wrong += rounded(0x8000) != pattern + (pattern & 1);
  }
  EXPECT_EQ(wrong, 0);
}

TEST(BFloat16, KeepsInfinitiesAndOverflowsToThem) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(BFloat16(kInfinity).bits, 0x7f80);
  EXPECT_EQ(BFloat16(-kInfinity).bits, 0xff80);
  EXPECT_EQ(BFloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(BFloat16(from_bits(0x7f7f7fff)).bits, 0x7f7f);  // nearer to the largest finite number
}

TEST(BFloat16, KeepsANaNWhosePayloadLiesInTheLowerHalf) {
  for (const uint32_t bits : {0x7f800001u, 0xff80ffffu, 0x7fffffffu}) {
    EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(from_bits(bits))))) << std::hex << bits;
    EXPECT_EQ(BFloat16(from_bits(bits)).bits >> 15, bits >> 31) << "the sign";
  }
}

TEST(BFloat16, AddsInFp32AndRoundsOnce) {
  BFloat16 value(256.0f);
  value += 0.75f;  // 256 and 258 are neighbours
  EXPECT_EQ(static_cast<float>(value), 256.0f);
  value += 1.25f;
  EXPECT_EQ(static_cast<float>(value), 258.0f);
}

}  // namespace
}  // namespace kindred
