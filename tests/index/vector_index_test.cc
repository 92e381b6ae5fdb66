// Every registered index type against a scan, removed rows included.
#include "index/vector_index.h"

#include <fstream>
#include <limits>

#include "common/base/parallel.h"
#include "index/dot.h"
#include "index/exact_search.h"
#include "tests/index/gallery_fixture.h"

namespace kindred {
namespace {

/// Types that this build has; with a file of their own only, when asked.
std::vector<std::string> available_types(bool with_file = false) {
  std::vector<std::string> types;
  for (const auto& [name, entry] : vector_index_registry().entries())
    if (!entry.help.starts_with("not available") && (!with_file || entry.make(8)->has_file()))
      types.push_back(name);
  return types;
}

/// Rows in clusters, as embeddings are: a graph walk has an easy and a hard part.
std::vector<float> clustered_rows(int64_t n, int dim, uint64_t seed) {
  const std::vector<float> centres = unit_rows(50, dim, 1);
  std::vector<float> rows = unit_rows(n, dim, seed);
  for (int64_t r = 0; r < n; ++r) {
    float* row = rows.data() + r * dim;
    double squares = 0;
    for (int d = 0; d < dim; ++d) {
      row[d] = centres[static_cast<size_t>(r % 50 * dim + d)] + 0.7f * row[d];
      squares += double{row[d]} * double{row[d]};
    }
    for (int d = 0; d < dim; ++d) row[d] /= static_cast<float>(std::sqrt(squares));
  }
  return rows;
}

struct Answer {
  std::vector<float> scores;
  std::vector<int64_t> rows;
};

Answer ask(const VectorIndex& index, std::span<const float> queries, int k,
           std::span<const uint64_t> removed = {}) {
  const size_t n = queries.size() / static_cast<size_t>(index.dim()) * static_cast<size_t>(k);
  Answer answer{std::vector<float>(n), std::vector<int64_t>(n)};
  index.search(queries, k, removed, answer.scores.data(), answer.rows.data());
  return answer;
}

/// Of all hits that a scan gives, the share that `found` has as well.
double recall(const Answer& found, const Answer& truth, int k) {
  int64_t common = 0;
  for (size_t q = 0; q < truth.rows.size(); q += static_cast<size_t>(k))
    for (size_t i = q; i < q + static_cast<size_t>(k); ++i)
      common += std::count(found.rows.begin() + static_cast<ptrdiff_t>(q),
                           found.rows.begin() + static_cast<ptrdiff_t>(q) + k, truth.rows[i]);
  return static_cast<double>(common) / static_cast<double>(truth.rows.size());
}

class EveryIndex : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int kDim = 32, kTop = 10;
  static constexpr int64_t kRows = 6000;

  std::unique_ptr<VectorIndex> make() const { return vector_index_registry().get(GetParam()).make(kDim); }
  std::unique_ptr<VectorIndex> make_filled() const {
    auto index = make();
    index->add(clustered_rows(kRows, kDim, 2));
    return index;
  }
  static Answer scan(std::span<const float> queries, std::span<const uint64_t> removed) {
    const std::vector<float> rows = clustered_rows(kRows, kDim, 2);
    const size_t n = queries.size() / kDim * kTop;
    Answer answer{std::vector<float>(n), std::vector<int64_t>(n)};
    exact_search(rows.data(), kRows, kDim, queries, kTop, removed, answer.scores.data(), answer.rows.data());
    return answer;
  }
};

TEST_P(EveryIndex, FindsWhatAScanFinds) {
  const auto queries = clustered_rows(100, kDim, 3);
  EXPECT_GE(recall(ask(*make_filled(), queries, kTop), scan(queries, {}), kTop), 0.97);
}

TEST_P(EveryIndex, NeverReturnsARemovedRow) {
  const auto queries = clustered_rows(100, kDim, 3);
  std::vector<uint64_t> removed((kRows + 63) / 64);
  for (int64_t row = 0; row < kRows; ++row)
    if (row % 5 == 0) removed[static_cast<size_t>(row / 64)] |= uint64_t{1} << (row % 64);
  const Answer found = ask(*make_filled(), queries, kTop, removed);
  for (const int64_t row : found.rows) ASSERT_NE(row % 5, 0);
  // Whole clusters are gone, and a fifth of the queries lie in one of them: the hard case for a graph.
  EXPECT_GE(recall(found, scan(queries, removed), kTop), 0.95);
}

TEST_P(EveryIndex, MarksMissingResults) {
  const auto index = make();
  index->add(unit_rows(3, kDim, 2));
  const Answer found = ask(*index, unit_rows(1, kDim, 3), 5);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(found.rows[i] >= 0, i < 3);
    EXPECT_EQ(found.scores[i] == -std::numeric_limits<float>::infinity(), i >= 3);
  }
}

TEST_P(EveryIndex, KeepsTheVectorsAsTheyWereAdded) {
  const auto index = make();
  const auto rows = unit_rows(20, kDim, 2);
  index->add(std::span(rows).first(5 * kDim));
  index->add(std::span(rows).subspan(5 * kDim));
  EXPECT_EQ(index->size(), 20);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), index->vectors()));
}

class IndexWithFile : public EveryIndex {};

TEST_P(IndexWithFile, AnswersTheSameAfterSavingAndLoading) {
  const TemporaryFolder folder;
  const auto index = make_filled(), copy = make();
  index->save(folder / "index");
  copy->load(folder / "index");
  const auto queries = clustered_rows(50, kDim, 3);
  EXPECT_EQ(ask(*copy, queries, kTop).rows, ask(*index, queries, kTop).rows);
}

TEST_P(IndexWithFile, RefusesAFileThatIsNoIndex) {
  const TemporaryFolder folder;
  const auto index = make();
  std::ofstream(folder / "index") << "no index at all";
  EXPECT_THROW(index->load(folder / "index"), Error);
  EXPECT_THROW(index->load(folder / "absent"), Error);
  const auto other = vector_index_registry().get(GetParam()).make(kDim + 1);
  other->save(folder / "other");
  EXPECT_THROW(index->load(folder / "other"), Error);
}

INSTANTIATE_TEST_SUITE_P(Type, EveryIndex, testing::ValuesIn(available_types()),
                         [](const auto& type) { return type.param; });

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IndexWithFile);  // without FAISS
INSTANTIATE_TEST_SUITE_P(Type, IndexWithFile, testing::ValuesIn(available_types(true)),
                         [](const auto& type) { return type.param; });

TEST(IndexTypes, NamesAreKnownWithAndWithoutFaiss) {
  EXPECT_EQ(vector_index_registry().names(), (std::vector<std::string>{"exact", "flat", "hnsw"}));
}

TEST(IndexTypes, AutoScansWhatIsSmallAndSaysWhy) {
  const IndexChoice small = choose_index_type(5000, 128), large = choose_index_type(5'000'000, 512);
  EXPECT_EQ(small.type, "exact");
  EXPECT_NE(small.reason.find("few enough"), std::string::npos);
  EXPECT_NE(large.reason.find("5000000 x 512"), std::string::npos);
}

TEST(Dot, IsTheSameForEveryGrouping) {
  for (const int dim : {1, 15, 16, 17, 33, 512}) {
    const auto queries = unit_rows(7, dim, 1), rows = unit_rows(9, dim, 2);
    std::vector<float> block(7 * 9);
    dot_block(queries.data(), 7, rows.data(), 9, dim, block.data());
    for (int q = 0; q < 7; ++q)
      for (int r = 0; r < 9; ++r) {
        double expected = 0;
        for (int d = 0; d < dim; ++d)
          expected += double{queries[static_cast<size_t>(q * dim + d)]} *
                      double{rows[static_cast<size_t>(r * dim + d)]};
        EXPECT_EQ(block[static_cast<size_t>(q * 9 + r)],
                  dot(&queries[static_cast<size_t>(q * dim)], &rows[static_cast<size_t>(r * dim)], dim));
        EXPECT_NEAR(block[static_cast<size_t>(q * 9 + r)], expected, 1e-6);
      }
  }
}

TEST(ExactSearch, IsTheSameForEveryThreadCountAndBatch) {
  constexpr int kDim = 32, kTop = 7;
  const auto rows = unit_rows(9000, kDim, 1), queries = unit_rows(40, kDim, 2);
  std::vector<float> scores(40 * kTop), one(kTop);
  std::vector<int64_t> found(40 * kTop), found_one(kTop);
  const int threads = thread_count();
  set_thread_count(1);
  exact_search(rows.data(), 9000, kDim, queries, kTop, {}, scores.data(), found.data());
  set_thread_count(3);
  for (size_t q = 0; q < 40; ++q) {
    exact_search(rows.data(), 9000, kDim, std::span(queries).subspan(q * kDim, kDim), kTop, {}, one.data(),
                 found_one.data());
    EXPECT_TRUE(std::equal(one.begin(), one.end(), scores.begin() + static_cast<ptrdiff_t>(q) * kTop));
    EXPECT_TRUE(
        std::equal(found_one.begin(), found_one.end(), found.begin() + static_cast<ptrdiff_t>(q) * kTop));
  }
  set_thread_count(threads);
}

}  // namespace
}  // namespace kindred
