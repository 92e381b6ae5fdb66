// Triplet losses against numbers worked out by hand for four points on the circle: class 0 at 0 and 60
// degrees, class 1 at 90 and 180. Scores: 0-60 0.5, 0-90 0, 0-180 -1, 60-90 0.866025, 60-180 -0.5, 90-180 0.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

const Samples kFour = plane_samples({0, 60, 90, 180}, {0, 0, 1, 1});

double triplet(const std::vector<std::string>& settings) {
  std::vector<std::string> all{"triplet.distance=cosine", "triplet.reduction=sum"};
  all.insert(all.end(), settings.begin(), settings.end());
  return LossCase{"triplet", all}.run(kFour).value.loss;
}

TEST(Triplet, BatchHardTakesTheHardestOfBothKinds) {
  // 60: 0.5 - 0.133975 + 0.3; 90: 1 - 0.133975 + 0.3; 0 and 180: 0.5 - 1 + 0.3 and 1 - 1.5 + 0.3, below zero.
  EXPECT_NEAR(triplet({}), 0.666025 + 1.166025, 1e-5);
}

TEST(Triplet, ReductionsDivideByTheirCounts) {
  EXPECT_NEAR(triplet({"triplet.reduction=active"}), 1.832051 / 2, 1e-5);
  EXPECT_NEAR(triplet({"triplet.reduction=all"}), 1.832051 / 4, 1e-5);
}

TEST(Triplet, DistancesOfUnitRows) {
  // euclidean 2 sin(angle / 2): 60: 1 - 0.517638 + 0.3; 90: 1.414214 - 0.517638 + 0.3. Squared: the squares.
  EXPECT_NEAR(triplet({"triplet.distance=euclidean"}), 0.782362 + 1.196576, 1e-5);
  EXPECT_NEAR(triplet({"triplet.distance=squared"}), 1.032051 + 2.032051, 1e-5);
}

TEST(Triplet, SoftIsSoftplusOfTheDifference) {
  // v = -0.5, 0.366025, 0.866025, -0.5: ln(1 + e^v).
  EXPECT_NEAR(triplet({"triplet.soft=true", "triplet.margin=0"}), 0.474077 + 0.892814 + 1.217119 + 0.474077,
              1e-5);
}

TEST(Triplet, SwapTakesTheNearerSideOfTheNegative) {
  // Cosine distances 60: 0.5 - 0.133975 + 0.3 either way; 0: its negative 90 is at 0.133975 from 60: the
  // same; 90: 1 - 0.133975 + 0.3; 180: its negative 60 is at 0.133975 from 90: 1 - 0.133975 + 0.3.
  EXPECT_NEAR(triplet({"triplet.swap=true"}), 2 * 0.666025 + 2 * 1.166025, 1e-5);
}

TEST(Triplet, SwapNeedsChosenPairs) {
  EXPECT_THROW(triplet({"triplet.swap=true", "triplet.miner=soft_weighted"}), UsageError);
}

TEST(Triplet, AllCountsEveryPairOfPairs) {
  // Adds to batch hard: 90 with the negative at 0: 1 - 1 + 0.3.
  EXPECT_NEAR(triplet({"triplet.miner=all"}), 1.832051 + 0.3, 1e-5);
  EXPECT_NEAR(triplet({"triplet.miner=all", "triplet.reduction=active"}), 2.132051 / 3, 1e-5);
  EXPECT_NEAR(triplet({"triplet.miner=all", "triplet.reduction=all"}), 2.132051 / 8, 1e-5);
}

TEST(Triplet, SemiHardFallsBackToTheEasiestNegative) {
  // Only 90 has no negative below its positive's score 0: the farthest, at 0 degrees, gives 1 - 1 + 0.3.
  EXPECT_NEAR(triplet({"triplet.miner=semi_hard"}), 0.3, 1e-5);
  EXPECT_EQ(triplet({"triplet.miner=semi_hard", "triplet.semi_hard_fallback=none"}), 0);
}

TEST(Triplet, ReportsActivityAndHardestScores) {
  const LossValue value = LossCase{"triplet", {"triplet.distance=cosine"}}.run(kFour).value;
  EXPECT_EQ(value.active_fraction, 0.5);
  EXPECT_NEAR(value.hardest_positive, (0.5 + 0.5 + 0 + 0) / 4, 1e-6);
  EXPECT_NEAR(value.hardest_negative, (0 + 0.866025 + 0.866025 - 0.5) / 4, 1e-6);
}

TEST(Triplet, IsZeroWithoutActiveTriplets) {
  const LossOutcome far_apart = LossCase{"triplet", {}}.run(plane_samples({0, 5, 180, 185}, {0, 0, 1, 1}), 2);
  EXPECT_EQ(far_apart.value.loss, 0);
  EXPECT_EQ(far_apart.value.active_fraction, 0);
  for (const float value : far_apart.embedding_gradients) EXPECT_EQ(value, 0);
}

TEST(Triplet, CollapseGivesTheMargin) {
  const LossValue value = LossCase{"triplet", {}}.run(plane_samples({30, 30, 30, 30}, {0, 0, 1, 1})).value;
  EXPECT_NEAR(value.loss, 0.3, 1e-3);
  EXPECT_EQ(value.active_fraction, 1);
}

TEST(Triplet, NeverPairsASampleWithItself) {
  Samples twice = plane_samples({0, 0, 90, 180}, {0, 0, 1, 1});
  twice.ids = {7, 7, 8, 9};
  const LossValue value =
      LossCase{"triplet", {"triplet.miner=all", "triplet.reduction=all"}}.run(twice).value;
  EXPECT_NEAR(value.hardest_positive, 0, 1e-6);  // of 90 and 180 alone
}

TEST(TripletAngular, AddsAbsoluteTargets) {
  // Rank terms n - p + 0.5: 0, 0.866025, 1.366025, 0. Positives below 0.9: 0.4, 0.4, 0.9, 0.9. Negatives
  // above 0.5: 0, 0.366025, 0.366025, 0.
  const double rank = 2.232051, absolute = 2.6 + 0.732051;
  const auto value = [](std::vector<std::string> settings) {
    return LossCase{"triplet_angular", std::move(settings)}.run(kFour).value.loss;
  };
  EXPECT_NEAR(value({}), rank / 4, 1e-5);
  EXPECT_NEAR(value({"triplet_angular.add_absolute=true"}), (rank + absolute) / 4, 1e-5);
  EXPECT_NEAR(value({"triplet_angular.add_absolute=true", "triplet_angular.absolute_weight=0.1"}),
              (rank + 0.1 * absolute) / 4, 1e-5);
}

TEST(TripletAngular, PaddleCompatChangesTheValueAndNotTheGradient) {
  const LossCase plain{"triplet_angular", {"triplet_angular.add_absolute=true"}};
  LossCase compat = plain;
  compat.settings.push_back("triplet_angular.paddle_compat=true");
  const LossOutcome ours = plain.run(kFour), theirs = compat.run(kFour);
  EXPECT_NEAR(theirs.value.loss - ours.value.loss, 2.0 / 4, 1e-6);  // the anchors at 0 and 180
  EXPECT_EQ(theirs.embedding_gradients, ours.embedding_gradients);
}

TEST(TripletAngular, UsesTrueMasksOfUnevenClasses) {
  // Class counts 2, 2, 4: reshaping the mask, as others do, mixes rows here. Middle terms by hand from the
  // angles.
  const Samples uneven = plane_samples({0, 10, 100, 130, 200, 210, 220, 230}, {0, 0, 1, 1, 2, 2, 2, 2});
  double expected = 0;
  for (size_t i = 0; i < 8; ++i) {
    double p = 2, n = -2;
    for (size_t j = 0; j < 8; ++j) {
      const double score =
          static_cast<double>(uneven.embeddings[2 * i]) * static_cast<double>(uneven.embeddings[2 * j]) +
          static_cast<double>(uneven.embeddings[2 * i + 1]) *
              static_cast<double>(uneven.embeddings[2 * j + 1]);
      if (i != j && uneven.labels[i] == uneven.labels[j]) p = std::min(p, score);
      if (uneven.labels[i] != uneven.labels[j]) n = std::max(n, score);
    }
    expected += std::max(0.0, n - p + 1.5) / 8;
  }
  const LossCase loss{"triplet_angular", {"triplet_angular.margin=1.5"}};
  EXPECT_NEAR(loss.run(uneven).value.loss, expected, 1e-5);
  EXPECT_NEAR(loss.run(uneven, 4).value.loss, expected, 1e-5);
}

TEST(TripletAngular, SingletonsLearnFromNegativesAlone) {
  // No positives: p = 1. Anchor 0 and 60 have n = 0.5: 0.5 - 1 + 0.8 = 0.3 each.
  const LossOutcome outcome =
      LossCase{"triplet_angular", {"triplet_angular.margin=0.8"}}.run(plane_samples({0, 60}, {0, 1}));
  EXPECT_NEAR(outcome.value.loss, 0.3, 1e-5);
  EXPECT_EQ(outcome.value.hardest_positive, 0);
  EXPECT_NEAR(outcome.embedding_gradients[0], 0.5, 1e-5);  // (1/2 as anchor + 1/2 as reference) cos 60
}

}  // namespace
}  // namespace kindred::test
