#include "common/engine/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/base/philox.h"
#include "common/engine/cpu/cpu_stream.h"

namespace kindred {
namespace {

struct Matrix {
  int64_t rows, ld;
  std::vector<float> values;
  Matrix(int64_t r, int64_t c, uint64_t seed) : rows(r), ld(c + 3), values(static_cast<size_t>(r * (c + 3))) {
    Random random(seed, {0, 0, 0});
    for (float& v : values) v = static_cast<float>(random.uniform(-1, 1));
  }
  float at(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * ld + c)]; }
};

struct GemmCase {
  Transpose a, b;
  int64_t m, n, k;
};

class Gemm : public ::testing::TestWithParam<GemmCase> {};

TEST_P(Gemm, EqualsThePlainProduct) {
  const auto [ta, tb, m, n, k] = GetParam();
  const auto stream = make_stream({});
  const bool flip_a = ta == Transpose::yes, flip_b = tb == Transpose::yes;
  const Matrix a(flip_a ? k : m, flip_a ? m : k, 1), b(flip_b ? n : k, flip_b ? k : n, 2), before(m, n, 3);
  for (const float beta : {0.0f, 1.0f, -0.5f}) {
    Matrix c = before;
    gemm(*stream, ta, tb, m, n, k, 0.75f, a.values.data(), a.ld, b.values.data(), b.ld, beta, c.values.data(),
         c.ld);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l) {
          sum += static_cast<double>(flip_a ? a.at(l, i) : a.at(i, l)) * (flip_b ? b.at(j, l) : b.at(l, j));
        }
        ASSERT_NEAR(c.at(i, j), 0.75 * sum + beta * before.at(i, j), 1e-5 * static_cast<double>(k))
            << i << ", " << j;
      }
      for (int64_t j = n; j < c.ld; ++j) ASSERT_EQ(c.at(i, j), before.at(i, j)) << "wrote past a row's end";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Gemm,
                         ::testing::Values(GemmCase{Transpose::no, Transpose::no, 1, 1, 1},
                                           GemmCase{Transpose::no, Transpose::no, 17, 33, 9},
                                           GemmCase{Transpose::no, Transpose::yes, 64, 75, 128},
                                           GemmCase{Transpose::yes, Transpose::no, 31, 50, 200},
                                           GemmCase{Transpose::yes, Transpose::yes, 40, 7, 19}));

struct Bf16Case {
  Transpose a, b;
  int64_t m, n, k;
  bool bias, add, native;
};

class GemmInBf16 : public ::testing::TestWithParam<Bf16Case> {
 protected:
  void SetUp() override { allow_native_bf16(GetParam().native); }
  void TearDown() override { allow_native_bf16(true); }

  /// c is float or BFloat16.
  template <class C>
  void expect_plain_product(double tolerance) {
    const auto [ta, tb, m, n, k, with_bias, add, native] = GetParam();
    const auto stream = make_stream({});
    const bool flip_a = ta == Transpose::yes, flip_b = tb == Transpose::yes;
    const Matrix a(flip_a ? k : m, flip_a ? m : k, 1), b(flip_b ? n : k, flip_b ? k : n, 2), before(m, n, 3),
        bias(1, n, 4);
    const std::vector<BFloat16> narrow_a(a.values.begin(), a.values.end()),
        narrow_b(b.values.begin(), b.values.end());
    const auto at = [](const std::vector<BFloat16>& v, int64_t ld, int64_t r, int64_t c) {
      return static_cast<double>(static_cast<float>(v[static_cast<size_t>(r * ld + c)]));
    };
    for (int repeat = 0; repeat < 2; ++repeat) {  // planned, then from the cache
      std::vector<C> c(before.values.begin(), before.values.end());
      const std::vector<C> old = c;
      gemm(*stream, ta, tb, m, n, k, 1, narrow_a.data(), a.ld, narrow_b.data(), b.ld, add ? 1.0f : 0.0f,
           c.data(), before.ld, with_bias ? bias.values.data() : nullptr);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < before.ld; ++j) {
          const auto place = static_cast<size_t>(i * before.ld + j);
          const auto was = static_cast<double>(static_cast<float>(old[place]));
          double want = j < n ? 0 : was;  // nothing past a row's end
          if (j < n) {
            for (int64_t l = 0; l < k; ++l) {
              want += at(narrow_a, a.ld, flip_a ? l : i, flip_a ? i : l) *
                      at(narrow_b, b.ld, flip_b ? j : l, flip_b ? l : j);
            }
            want += (with_bias ? static_cast<double>(bias.at(0, j)) : 0) + (add ? was : 0);
          }
          ASSERT_NEAR(static_cast<float>(c[place]), want, tolerance * std::max(1.0, std::abs(want)))
              << i << ", " << j;
        }
      }
    }
  }
};

TEST_P(GemmInBf16, SumsToFp32) { expect_plain_product<float>(1e-5); }
TEST_P(GemmInBf16, RoundsItsSumsOnce) { expect_plain_product<BFloat16>(1.02 / 256); }

std::vector<Bf16Case> bf16_cases() {
  std::vector<Bf16Case> cases;
  for (const bool native : {true, false}) {
    for (const auto& [bias, add] : {std::pair(false, false), {true, false}, {false, true}}) {
      cases.push_back({Transpose::no, Transpose::no, 17, 33, 9, bias, add, native});
      cases.push_back({Transpose::no, Transpose::yes, 64, 75, 128, bias, add, native});
      cases.push_back({Transpose::yes, Transpose::no, 31, 50, 200, bias, add, native});
      cases.push_back({Transpose::yes, Transpose::yes, 40, 7, 19, bias, add, native});
    }
    cases.push_back({Transpose::no, Transpose::no, 1, 1, 1, true, false, native});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, GemmInBf16, ::testing::ValuesIn(bf16_cases()));

TEST(GemmBatched, EqualsOneProductAfterTheOther) {
  const auto stream = make_stream({});
  const int64_t count = 13, m = 7, n = 5, k = 11;
  const Matrix a(count * m, k, 1), b(count * n, k, 2);
  std::vector<float> one(static_cast<size_t>(count * m * n)), all(one);
  for (int64_t i = 0; i < count; ++i) {
    gemm(*stream, Transpose::no, Transpose::yes, m, n, k, 1, a.values.data() + i * m * a.ld, a.ld,
         b.values.data() + i * n * b.ld, b.ld, 0, one.data() + i * m * n, n);
  }
  gemm_batched(*stream, count, {m * a.ld, n * b.ld, m * n}, Transpose::no, Transpose::yes, m, n, k, 1,
               a.values.data(), a.ld, b.values.data(), b.ld, 0, all.data(), n);
  for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(all[i], one[i], 1e-5);
}

}  // namespace
}  // namespace kindred
