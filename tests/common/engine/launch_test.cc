#include "common/engine/launch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "common/base/parallel.h"
#include "common/base/philox.h"

namespace kindred {
namespace {

class Launch : public ::testing::Test {
 protected:
  ~Launch() override { set_thread_count(threads_); }

  std::vector<float> random_values(int64_t n, double low = -1, double high = 1) const {
    Random random(5, {static_cast<uint64_t>(n), 0, 0});
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = static_cast<float>(random.uniform(low, high));
    return values;
  }

  std::unique_ptr<Stream> stream_ = make_stream({});

 private:
  int threads_ = thread_count();
};

TEST_F(Launch, EachVisitsEveryElementOnce) {
  for (const int64_t n : {0, 1, 7, 8191, 8192, 100000}) {
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      std::vector<int> visits(static_cast<size_t>(n));
      int* const v = visits.data();
      launch_each(*stream_, n, [=](int64_t i) { v[i] += 1; });
      EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), n);
    }
  }
}

TEST_F(Launch, RowsReduceWhatTheirBodiesGive) {
  for (const int64_t n : {1, 5, 16, 33, 1000}) {
    const int64_t rows = 37;
    const std::vector<float> x = random_values(rows * n);
    std::vector<float> sum(37), largest(37), twice(x.size());
    std::vector<int64_t> index(37);
    const float* const in = x.data();
    float *s = sum.data(), *m = largest.data(), *t = twice.data();
    int64_t* const a = index.data();
    launch_rows(*stream_, rows, [=](const Row& row, int64_t r) {
      const auto at = [=](int64_t c) { return in[r * n + c]; };
      const float total = row.sum(n, at), peak = row.max(n, at);
      const Largest best = row.arg_max(n, at);
      row.each(n, [=](int64_t c) { t[r * n + c] = 2 * in[r * n + c]; });
      row.once([=] { s[r] = total, m[r] = peak, a[r] = best.index; });
    });
    for (int64_t r = 0; r < rows; ++r) {
      const auto begin = x.begin() + r * n, end = begin + n;
      EXPECT_NEAR(sum[r], std::accumulate(begin, end, 0.0), 1e-4);
      EXPECT_EQ(largest[r], *std::max_element(begin, end));
      EXPECT_EQ(index[r], std::max_element(begin, end) - begin);
    }
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(twice[i], 2 * x[i]);
  }
}

TEST_F(Launch, ArgMaxTakesTheLowestIndexOfEquals) {
  Largest best{}, none{};
  launch_rows(*stream_, 1, [&best, &none](const Row& row, int64_t) {
    best = row.arg_max(9, [](int64_t i) { return i % 3 == 2 ? 1.0f : 0.0f; });
    none = row.arg_max(0, [](int64_t) { return 0.0f; });
  });
  EXPECT_EQ(best.index, 2);
  EXPECT_EQ(best.value, 1);
  EXPECT_EQ(none.index, -1);
  EXPECT_EQ(none.value, -INFINITY);
}

struct ColumnSums {
  std::vector<float> sum, squares;
};

ColumnSums column_sums(Stream& stream, const std::vector<float>& x, int64_t rows, int64_t cols, Write write,
                       float start) {
  const auto size = static_cast<size_t>(cols);
  ColumnSums out{std::vector<float>(size, start), std::vector<float>(size, start)};
  const Tensor scratch({columns_scratch_bytes<2>(rows, cols)}, DType::u8);
  const float* const in = x.data();
  launch_columns<2>(
      stream, rows, cols,
      [=](int64_t r, int64_t c) {
        const float v = in[r * cols + c];
        return Sums<2>{{v, v * v}};
      },
      {{out.sum.data(), out.squares.data()}}, write, scratch);
  return out;
}

TEST_F(Launch, ColumnsAddUpRows) {
  for (const auto& [rows, cols] :
       {std::pair{1, 1}, {3, 7}, {5, 130}, {1000, 1}, {777, 75}, {40, 1024}, {5000, 64}}) {
    const std::vector<float> x = random_values(int64_t{rows} * cols);
    const ColumnSums set = column_sums(*stream_, x, rows, cols, Write::set, NAN);
    const ColumnSums add = column_sums(*stream_, x, rows, cols, Write::add, 3);
    for (int c = 0; c < cols; ++c) {
      double sum = 0, squares = 0;
      for (int r = 0; r < rows; ++r) {
        const double v = x[static_cast<size_t>(r * cols + c)];
        sum += v, squares += v * v;
      }
      const auto at = static_cast<size_t>(c);
      ASSERT_NEAR(set.sum[at], sum, 2e-5 * std::sqrt(rows)) << rows << " x " << cols;
      ASSERT_NEAR(set.squares[at], squares, 1e-6 * squares + 1e-6);
      ASSERT_NEAR(add.sum[at], sum + 3, 2e-5 * std::sqrt(rows));
    }
  }
}

TEST_F(Launch, ColumnsOfNoRowsAreZero) {
  EXPECT_EQ(column_sums(*stream_, {}, 0, 3, Write::set, NAN).sum, std::vector<float>(3, 0));
  EXPECT_EQ(column_sums(*stream_, {}, 0, 3, Write::add, 2).sum, std::vector<float>(3, 2));
}

TEST_F(Launch, ColumnsDoNotDependOnTheThreadCount) {
  for (const int64_t cols : {3, 64, 200}) {
    const int64_t rows = 30011;
    const std::vector<float> x = random_values(rows * cols, 0, 1);
    set_thread_count(1);
    const ColumnSums one = column_sums(*stream_, x, rows, cols, Write::set, 0);
    for (const int threads : {2, 3, 4}) {
      set_thread_count(threads);
      const ColumnSums many = column_sums(*stream_, x, rows, cols, Write::set, 0);
      EXPECT_EQ(many.sum, one.sum) << threads << " threads";
      EXPECT_EQ(many.squares, one.squares) << threads << " threads";
    }
  }
}

TEST_F(Launch, ColumnsOfManyRowsStayExact) {
  const int64_t rows = 2'000'000;  // a running fp32 sum of this many tenths is wrong in the fourth digit
  const ColumnSums sums =
      column_sums(*stream_, std::vector<float>(static_cast<size_t>(rows), 0.1f), rows, 1, Write::set, 0);
  EXPECT_NEAR(sums.sum[0], static_cast<double>(0.1f) * static_cast<double>(rows), 0.1);
}

}  // namespace
}  // namespace kindred
