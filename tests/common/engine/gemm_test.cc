#include "common/engine/gemm.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/base/philox.h"

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
