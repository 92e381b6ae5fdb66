#include "common/metrics/retrieval.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>  // iota

#include "common/base/error.h"
#include "common/base/parallel.h"
#include "common/metrics/scores.h"
#include "tests/common/metrics/sample_sets.h"

namespace kindred {
namespace {

/// The definition, one query at a time: sort everything, walk down.
RetrievalMetrics by_definition(const SampleSet& queries, const SampleSet& gallery,
                               const std::vector<int>& ks) {
  RetrievalMetrics metrics;
  metrics.queries = queries.size();
  for (const int k : ks) metrics.recall_at_k[k] = 0;
  for (int64_t i = 0; i < queries.size(); ++i) {
    std::vector<float> scores(static_cast<size_t>(gallery.size()));
    score_tile(queries.vectors.data() + i * queries.dim, 1, gallery.vectors.data(), gallery.size(),
               queries.dim, scores.data());
    std::vector<size_t> order;
    for (size_t j = 0; j < scores.size(); ++j) {
      if (gallery.ids[j] != queries.ids[i]) order.push_back(j);
    }
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    int64_t relevant = 0;
    for (const size_t j : order) relevant += gallery.labels[j] == queries.labels[i];
    if (relevant == 0) {
      ++metrics.queries_without_match;
      continue;
    }
    int64_t found = 0;
    for (size_t r = 0; r < order.size(); ++r) {
      if (gallery.labels[order[r]] != queries.labels[i]) continue;
      const int64_t rank = static_cast<int64_t>(r) + 1;
      if (++found == 1) {
        for (auto& [k, hits] : metrics.recall_at_k) hits += rank <= k;
      }
      const double share =
          static_cast<double>(found) / static_cast<double>(rank) / static_cast<double>(relevant);
      metrics.mean_average_precision += share;
      if (rank <= relevant)
        metrics.map_at_r += share, metrics.r_precision += 1.0 / static_cast<double>(relevant);
    }
  }
  const double counted = static_cast<double>(metrics.queries - metrics.queries_without_match);
  for (auto& [k, hits] : metrics.recall_at_k) hits /= counted;
  metrics.mean_average_precision /= counted, metrics.map_at_r /= counted, metrics.r_precision /= counted;
  return metrics;
}

void expect_equal(const RetrievalMetrics& got, const RetrievalMetrics& expected) {
  EXPECT_EQ(got.queries, expected.queries);
  EXPECT_EQ(got.queries_without_match, expected.queries_without_match);
  ASSERT_EQ(got.recall_at_k.size(), expected.recall_at_k.size());
  for (const auto& [k, recall] : expected.recall_at_k)
    EXPECT_NEAR(got.recall_at_k.at(k), recall, 1e-12) << "k " << k;
  EXPECT_NEAR(got.mean_average_precision, expected.mean_average_precision, 1e-12);
  EXPECT_NEAR(got.map_at_r, expected.map_at_r, 1e-12);
  EXPECT_NEAR(got.r_precision, expected.r_precision, 1e-12);
}

const std::vector<int> kKs{1, 2, 5, 10};

TEST(Retrieval, EqualsTheDefinitionWithinOneSet) {
  const SampleSet set = random_set(203, 17, 9, 1, false);
  expect_equal(evaluate_retrieval(set.view(), set.view(), kKs), by_definition(set, set, kKs));
}

TEST(Retrieval, EqualsTheDefinitionWhenManyScoresTie) {
  const SampleSet queries = random_set(97, 3, 6, 2, true), gallery = random_set(150, 3, 6, 3, true);
  expect_equal(evaluate_retrieval(queries.view(), gallery.view(), kKs), by_definition(queries, gallery, kKs));
}

TEST(Retrieval, CountsQueriesWithoutMatchAndLeavesThemOut) {
  SampleSet queries = random_set(40, 8, 4, 4, false), gallery = random_set(60, 8, 4, 5, false);
  for (int64_t& label : gallery.labels) label = std::min<int64_t>(label, 2);  // nobody of class 3 is there
  const RetrievalMetrics metrics = evaluate_retrieval(queries.view(), gallery.view(), kKs);
  EXPECT_EQ(metrics.queries_without_match, std::count(queries.labels.begin(), queries.labels.end(), 3));
  EXPECT_GT(metrics.queries_without_match, 0);
  expect_equal(metrics, by_definition(queries, gallery, kKs));
}

TEST(Retrieval, HandComputedRanksGiveTheTextbookValues) {
  // In order of score: relevant, not, relevant, not, relevant; R = 3.
  const ScoredPairs pairs = scored_pairs({0.9f, 0.7f, 0.5f}, {0.8f, 0.6f});
  const RetrievalMetrics metrics = evaluate_retrieval(pairs.query.view(), pairs.gallery.view(), kKs);
  EXPECT_DOUBLE_EQ(metrics.recall_at_k.at(1), 1);
  EXPECT_DOUBLE_EQ(metrics.mean_average_precision, (1.0 + 2.0 / 3 + 3.0 / 5) / 3);
  EXPECT_DOUBLE_EQ(metrics.map_at_r, (1.0 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(metrics.r_precision, 2.0 / 3);
}

TEST(Retrieval, TheSameSampleTakesNoRank) {
  SampleSet set;
  set.dim = 2;
  set.push({1, 0}, 0, 0), set.push({1, 0.1f}, 1, 1), set.push({1, 0.2f}, 0, 2);
  const RetrievalMetrics metrics = evaluate_retrieval(set.view(), set.view(), kKs);
  EXPECT_EQ(metrics.queries_without_match, 1);                // the only one of class 1
  EXPECT_DOUBLE_EQ(metrics.recall_at_k.at(1), 0);             // the neighbour of another class comes first
  EXPECT_DOUBLE_EQ(metrics.mean_average_precision, 1.0 / 2);  // rank 2 for both, not 3
}

TEST(Retrieval, DoesNotDependOnThreads) {
  const SampleSet set = random_set(500, 20, 12, 6, true);
  const int threads = thread_count();
  set_thread_count(1);
  const RetrievalMetrics one = evaluate_retrieval(set.view(), set.view(), kKs);
  set_thread_count(3);
  const RetrievalMetrics three = evaluate_retrieval(set.view(), set.view(), kKs);
  set_thread_count(threads);
  EXPECT_EQ(one.mean_average_precision, three.mean_average_precision);
  EXPECT_EQ(one.map_at_r, three.map_at_r);
  EXPECT_EQ(one.recall_at_k, three.recall_at_k);
}

TEST(Retrieval, NoQueriesGiveZeros) {
  const SampleSet gallery = random_set(5, 4, 2, 7, false);
  SampleSet none;
  none.dim = 4;
  const RetrievalMetrics metrics = evaluate_retrieval(none.view(), gallery.view(), kKs);
  EXPECT_EQ(metrics.queries, 0);
  EXPECT_EQ(metrics.mean_average_precision, 0);
}

TEST(Retrieval, RefusesUnsoundSets) {
  const SampleSet sound = random_set(5, 4, 2, 8, false);
  SampleSet nan = sound, infinite = sound, long_vector = sound, narrow = random_set(5, 3, 2, 8, false),
            short_set = sound;
  nan.vectors[7] = std::numeric_limits<float>::quiet_NaN();
  infinite.vectors[0] = std::numeric_limits<float>::infinity();
  long_vector.vectors[3] = 1e20f;
  short_set.vectors.pop_back();
  for (const SampleSet* bad : {&nan, &infinite, &long_vector, &narrow, &short_set}) {
    EXPECT_THROW(evaluate_retrieval(sound.view(), bad->view(), kKs), Error);
    EXPECT_THROW(evaluate_retrieval(bad->view(), sound.view(), kKs), Error);
    EXPECT_THROW(nearest_neighbours(sound.view(), bad->view(), 1), Error);
  }
  EXPECT_THROW(nearest_neighbours(sound.view(), sound.view(), 0), Error);
}

TEST(NearestNeighbours, AreTheHeadOfTheSortedList) {
  const SampleSet set = random_set(120, 3, 5, 9, true);
  constexpr int k = 7;
  const std::vector<Neighbour> got = nearest_neighbours(set.view(), set.view(), k);
  for (int64_t i = 0; i < set.size(); ++i) {
    std::vector<float> scores(static_cast<size_t>(set.size()));
    score_tile(set.vectors.data() + i * set.dim, 1, set.vectors.data(), set.size(), set.dim, scores.data());
    std::vector<int64_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::erase(order, i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    for (int64_t r = 0; r < k; ++r) {
      ASSERT_EQ(got[i * k + r].index, order[r]) << "query " << i << " rank " << r;
      ASSERT_EQ(got[i * k + r].score, scores[order[r]]);
    }
  }
}

TEST(NearestNeighbours, EndWithMinusOneWhenTheGalleryIsSmall) {
  const SampleSet set = random_set(3, 4, 2, 10, false);
  const std::vector<Neighbour> got = nearest_neighbours(set.view(), set.view(), 5);
  ASSERT_EQ(got.size(), 15u);
  EXPECT_GE(got[1].index, 0);
  EXPECT_EQ(got[2].index, -1);
  EXPECT_EQ(got[4].index, -1);
}

TEST(ScoreTile, GivesEveryPairTheSameBitsAnywhere) {
  const SampleSet a = random_set(13, 37, 3, 11, false), b = random_set(71, 37, 3, 12, false);
  std::vector<float> together(13 * 71), mirrored(71 * 13);
  score_tile(a.vectors.data(), 13, b.vectors.data(), 71, 37, together.data());
  score_tile(b.vectors.data(), 71, a.vectors.data(), 13, 37, mirrored.data());
  for (int64_t i = 0; i < 13; ++i) {
    for (int64_t j = 0; j < 71; ++j) {
      float alone = 0;
      score_tile(a.vectors.data() + i * 37, 1, b.vectors.data() + j * 37, 1, 37, &alone);
      ASSERT_EQ(together[i * 71 + j], alone);
      ASSERT_EQ(mirrored[j * 13 + i], alone);
      double expected = 0;
      for (int64_t d = 0; d < 37; ++d) expected += double{a.vectors[i * 37 + d]} * b.vectors[j * 37 + d];
      ASSERT_NEAR(alone, expected, 1e-6);
    }
  }
}

TEST(OrderedBits, SortAsTheScoresDo) {
  const std::vector<float> ascending{-1.0f, -0.5f, -1e-30f, 0.0f, 1e-30f, 0.25f, 1.0f};
  for (size_t i = 0; i + 1 < ascending.size(); ++i)
    EXPECT_LT(ordered_bits(ascending[i]), ordered_bits(ascending[i + 1]));
  EXPECT_EQ(ordered_bits(-0.0f), ordered_bits(0.0f));
  for (const float score : ascending) EXPECT_EQ(score_of_bits(ordered_bits(score)), score);
}

}  // namespace
}  // namespace kindred
