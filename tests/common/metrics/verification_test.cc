#include "common/metrics/verification.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>  // accumulate

#include "common/base/error.h"
#include "common/base/parallel.h"
#include "common/metrics/scores.h"
#include "tests/common/metrics/sample_sets.h"

namespace kindred {
namespace {

const std::vector<double> kTargets{0.3, 1e-1, 1e-2, 1e-3, 0};

struct Scores {
  std::vector<float> positive, negative;
};

Scores all_scores(const SampleSet& queries, const SampleSet& gallery, bool same_set) {
  Scores scores;
  std::vector<float> row(static_cast<size_t>(gallery.size()));
  for (int64_t i = 0; i < queries.size(); ++i) {
    score_tile(queries.vectors.data() + i * queries.dim, 1, gallery.vectors.data(), gallery.size(),
               queries.dim, row.data());
    for (int64_t j = same_set ? i + 1 : 0; j < gallery.size(); ++j) {
      if (queries.ids[i] == gallery.ids[j]) continue;
      (queries.labels[i] == gallery.labels[j] ? scores.positive : scores.negative).push_back(row[j]);
    }
  }
  return scores;
}

int64_t accepted(const std::vector<float>& ascending, double threshold) {
  return ascending.end() - std::lower_bound(ascending.begin(), ascending.end(), threshold);
}
double share(int64_t part, size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

/// Every number against its definition over the listed scores.
void expect_definition(const VerificationMetrics& got, Scores scores, double auc_tolerance) {
  ASSERT_EQ(got.positive_pairs, static_cast<int64_t>(scores.positive.size()));
  ASSERT_EQ(got.negative_pairs, static_cast<int64_t>(scores.negative.size()));

  double wins = 0;
  std::sort(scores.positive.begin(), scores.positive.end());
  std::sort(scores.negative.begin(), scores.negative.end());
  for (const float p : scores.positive) {
    const auto [low, high] = std::equal_range(scores.negative.begin(), scores.negative.end(), p);
    wins += static_cast<double>((low - scores.negative.begin()) + (high - scores.negative.begin())) / 2;
  }
  EXPECT_NEAR(
      got.auc,
      wins / static_cast<double>(scores.positive.size()) / static_cast<double>(scores.negative.size()),
      auc_tolerance);

  std::vector<float> thresholds = scores.positive;
  thresholds.insert(thresholds.end(), scores.negative.begin(), scores.negative.end());
  std::sort(thresholds.begin(), thresholds.end(), std::greater<>());
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  ASSERT_EQ(got.at_fpr.size(), kTargets.size());
  for (size_t t = 0; t < kTargets.size(); ++t) {
    double best_tpr = 0;
    for (const float threshold : thresholds) {
      if (share(accepted(scores.negative, threshold), scores.negative.size()) > kTargets[t]) break;
      best_tpr = share(accepted(scores.positive, threshold), scores.positive.size());
    }
    const OperatingPoint& point = got.at_fpr[t];
    EXPECT_EQ(point.target_fpr, kTargets[t]);
    EXPECT_EQ(point.true_positive_rate, best_tpr) << "target " << kTargets[t];
    EXPECT_EQ(point.true_positive_rate,
              share(accepted(scores.positive, point.threshold), scores.positive.size()));
    EXPECT_EQ(point.false_accepts, accepted(scores.negative, point.threshold));
    EXPECT_EQ(point.achieved_fpr, share(point.false_accepts, scores.negative.size()));
    EXPECT_LE(point.achieved_fpr, kTargets[t]);
  }

  double fpr0 = 0, fnr0 = 1, expected_eer = -1;
  for (const float threshold : thresholds) {
    const double fpr = share(accepted(scores.negative, threshold), scores.negative.size());
    const double fnr = 1 - share(accepted(scores.positive, threshold), scores.positive.size());
    if (fpr >= fnr) {
      const double along = (fnr0 - fpr0) / ((fnr0 - fpr0) + (fpr - fnr));
      expected_eer = fpr0 + along * (fpr - fpr0);
      break;
    }
    fpr0 = fpr, fnr0 = fnr;
  }
  EXPECT_NEAR(got.equal_error_rate, expected_eer, 1e-12);

  ASSERT_GE(got.roc.size(), 2u);
  EXPECT_LE(got.roc.size(), 560u);
  EXPECT_EQ(got.roc.front().true_positive_rate, 0);
  EXPECT_EQ(got.roc.back().true_positive_rate, 1);
  EXPECT_EQ(got.roc.back().false_positive_rate, 1);
  for (const RocPoint& point : got.roc) {
    ASSERT_EQ(point.true_positive_rate,
              share(accepted(scores.positive, point.threshold), scores.positive.size()));
    ASSERT_EQ(point.false_positive_rate,
              share(accepted(scores.negative, point.threshold), scores.negative.size()));
  }
  const auto sum = [](const std::vector<int64_t>& bins) {
    return std::accumulate(bins.begin(), bins.end(), int64_t{0});
  };
  EXPECT_EQ(got.positive_histogram.size(), 100u);
  EXPECT_EQ(sum(got.positive_histogram), got.positive_pairs);
  EXPECT_EQ(sum(got.negative_histogram), got.negative_pairs);
}

TEST(Verification, EqualsTheDefinitionWithinOneSet) {
  const SampleSet set = random_set(150, 16, 8, 1, false);
  expect_definition(evaluate_verification(set.view(), set.view(), true, kTargets), all_scores(set, set, true),
                    1e-6);
}

TEST(Verification, EqualsTheDefinitionBetweenTwoSets) {
  const SampleSet queries = random_set(70, 16, 8, 1, false), gallery = random_set(2100, 16, 8, 3, false);
  expect_definition(evaluate_verification(queries.view(), gallery.view(), false, kTargets),
                    all_scores(queries, gallery, false), 1e-6);
}

TEST(Verification, IsExactWhenManyScoresTie) {
  // Equal cosines of unequal vectors differ in the last bit here, where a cell holds two such floats.
  const SampleSet set = random_set(160, 2, 5, 4, true);
  expect_definition(evaluate_verification(set.view(), set.view(), true, kTargets), all_scores(set, set, true),
                    1e-4);
  const ScoredPairs pairs = scored_pairs({0.5f, 0.5f, 0.75f, 0.25f}, {0.5f, 0.25f, 0.25f, -0.5f, 0.75f});
  expect_definition(evaluate_verification(pairs.query.view(), pairs.gallery.view(), false, kTargets),
                    all_scores(pairs.query, pairs.gallery, false), 1e-12);
}

TEST(Verification, TwoGaussiansGiveTheClosedFormCurve) {
  // Scores N(0.3, 0.1) and N(0, 0.1) at the quantiles: AUC = Phi(3 / sqrt 2), EER = Phi(-1.5) at 0.15.
  constexpr int n = 20000;
  const auto normal_cdf = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  std::vector<float> positive, negative;
  for (int i = 0; i < n; ++i) {
    double low = -8, high = 8;
    while (high - low > 1e-12) (normal_cdf((low + high) / 2) < (i + 0.5) / n ? low : high) = (low + high) / 2;
    positive.push_back(static_cast<float>(0.3 + 0.1 * low));
    negative.push_back(static_cast<float>(0.1 * low));
  }
  const ScoredPairs pairs = scored_pairs(positive, negative);
  const VerificationMetrics got =
      evaluate_verification(pairs.query.view(), pairs.gallery.view(), false, kTargets);
  EXPECT_NEAR(got.auc, normal_cdf(3 / std::sqrt(2.0)), 1e-5);
  EXPECT_NEAR(got.equal_error_rate, normal_cdf(-1.5), 1e-4);
  EXPECT_NEAR(got.equal_error_threshold, 0.15, 1e-4);
  EXPECT_NEAR(got.at_fpr[2].true_positive_rate, normal_cdf(3 - 2.3263479), 1e-3);  // FPR 1e-2
  EXPECT_NEAR(got.at_fpr[2].threshold, 0.23263479, 1e-3);
}

TEST(Verification, SeparatedClassesReachTheCorner) {
  const ScoredPairs pairs = scored_pairs({0.9f, 0.8f}, {0.1f, -0.5f, 0.3f});
  const VerificationMetrics got =
      evaluate_verification(pairs.query.view(), pairs.gallery.view(), false, kTargets);
  EXPECT_EQ(got.auc, 1);
  EXPECT_EQ(got.equal_error_rate, 0);
  for (const OperatingPoint& point : got.at_fpr) {
    EXPECT_EQ(point.true_positive_rate, 1);
    EXPECT_EQ(point.threshold, 0.8f);  // no lower than needed
    EXPECT_EQ(point.false_accepts, 0);
  }
}

TEST(Verification, AllEqualScoresAreAToss) {
  const ScoredPairs pairs = scored_pairs({0.5f, 0.5f}, {0.5f, 0.5f, 0.5f});
  const VerificationMetrics got =
      evaluate_verification(pairs.query.view(), pairs.gallery.view(), false, kTargets);
  EXPECT_EQ(got.auc, 0.5);
  EXPECT_EQ(got.equal_error_rate, 0.5);
  for (const OperatingPoint& point : got.at_fpr) {
    EXPECT_EQ(point.true_positive_rate, 0);
    EXPECT_GT(point.threshold, 0.5f);  // accepts nothing, and is as near as a float can be
    EXPECT_LT(point.threshold, 0.5f + 1e-6f);
  }
}

TEST(Verification, RatesOverNoPairsAreNotNumbers) {
  const ScoredPairs no_positive = scored_pairs({}, {0.5f, 0.25f}), no_negative = scored_pairs({0.5f}, {});
  const VerificationMetrics p =
      evaluate_verification(no_positive.query.view(), no_positive.gallery.view(), false, kTargets);
  EXPECT_EQ(p.positive_pairs, 0);
  EXPECT_TRUE(std::isnan(p.auc) && std::isnan(p.equal_error_rate) &&
              std::isnan(p.at_fpr[0].true_positive_rate));
  EXPECT_GT(p.at_fpr[0].threshold, 0.5f);  // still a threshold that keeps the target
  const VerificationMetrics n =
      evaluate_verification(no_negative.query.view(), no_negative.gallery.view(), false, kTargets);
  EXPECT_TRUE(std::isnan(n.auc) && std::isnan(n.at_fpr[0].achieved_fpr));
  EXPECT_EQ(n.at_fpr[0].true_positive_rate, 1);
  SampleSet none;
  none.dim = 2;
  EXPECT_EQ(evaluate_verification(none.view(), none.view(), true, kTargets).negative_pairs, 0);
}

TEST(Verification, SkipsTheSameSampleAndCountsEveryPairOnce) {
  SampleSet set = random_set(10, 4, 2, 5, false);
  EXPECT_EQ(evaluate_verification(set.view(), set.view(), true, kTargets).positive_pairs +
                evaluate_verification(set.view(), set.view(), true, kTargets).negative_pairs,
            45);
  set.ids[3] = set.ids[7];  // the same picture twice
  const VerificationMetrics got = evaluate_verification(set.view(), set.view(), true, kTargets);
  EXPECT_EQ(got.positive_pairs + got.negative_pairs, 44);
  const VerificationMetrics both = evaluate_verification(set.view(), set.view(), false, kTargets);
  EXPECT_EQ(both.positive_pairs + both.negative_pairs, 88);
}

TEST(Verification, DoesNotDependOnThreads) {
  const SampleSet set = random_set(400, 16, 8, 6, true);
  const int threads = thread_count();
  set_thread_count(1);
  const VerificationMetrics one = evaluate_verification(set.view(), set.view(), true, kTargets);
  set_thread_count(4);
  const VerificationMetrics four = evaluate_verification(set.view(), set.view(), true, kTargets);
  set_thread_count(threads);
  EXPECT_EQ(one.auc, four.auc);
  EXPECT_EQ(one.equal_error_threshold, four.equal_error_threshold);
  EXPECT_EQ(one.negative_histogram, four.negative_histogram);
  ASSERT_EQ(one.roc.size(), four.roc.size());
  for (size_t i = 0; i < one.roc.size(); ++i) EXPECT_EQ(one.roc[i].threshold, four.roc[i].threshold);
}

TEST(Verification, RefusesUnsoundInput) {
  const SampleSet sound = random_set(5, 4, 2, 7, false);
  SampleSet nan = sound;
  nan.vectors[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(evaluate_verification(nan.view(), nan.view(), true, kTargets), Error);
  EXPECT_THROW(evaluate_verification(sound.view(), random_set(6, 4, 2, 7, false).view(), true, kTargets),
               Error);
  for (const double target : {-0.1, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(evaluate_verification(sound.view(), sound.view(), true, std::vector<double>{target}), Error);
  }
}

TEST(Verification, TwentyThousandVectorsTakeSeconds) {
  const SampleSet set = random_set(20000, 64, 500, 8, false, 2);
  const auto begin = std::chrono::steady_clock::now();
  const VerificationMetrics got = evaluate_verification(set.view(), set.view(), true, kTargets);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(got.positive_pairs + got.negative_pairs, int64_t{20000} * 19999 / 2);
  EXPECT_LE(got.at_fpr[3].achieved_fpr, 1e-3);
  EXPECT_GT(got.at_fpr[3].achieved_fpr, 0.9e-3);
  RecordProperty("seconds", std::to_string(seconds));
  EXPECT_LT(seconds,
            60);  // about 2 s on two idle cores; an O(pairs) memory or sorting path would take minutes
}

}  // namespace
}  // namespace kindred
