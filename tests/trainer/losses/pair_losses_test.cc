// Losses on pairs against numbers worked out by hand for four points on the circle: class 0 at 0 and 60
// degrees, class 1 at 90 and 180. Scores: 0-60 0.5, 0-90 0, 0-180 -1, 60-90 0.866025, 60-180 -0.5, 90-180 0.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

const Samples kFour = plane_samples({0, 60, 90, 180}, {0, 0, 1, 1});
constexpr double kHigh = 0.8660254037844386;  // the score of 60 and 90

double value(const std::string& loss, const std::vector<std::string>& settings, const Samples& of = kFour) {
  std::vector<std::string> words;
  for (const std::string& setting : settings) words.push_back(concat(loss, ".", setting));
  return LossCase{loss, words}.run(of).value.loss;
}

TEST(MarginRanking, RanksTheHardestPairOfEveryAnchor) {
  // x2 - x1: 0: 0 - 0.5; 60: 0.866025 - 0.5; 90: 0.866025 - 0; 180: -0.5 - 0.
  EXPECT_NEAR(value("margin_ranking", {}), (0.366025 + 0.866025) / 4, 1e-5);
  EXPECT_NEAR(value("margin_ranking", {"margin=0.55"}), (0.05 + 0.916025 + 1.416025 + 0.05) / 4, 1e-5);
  EXPECT_NEAR(value("margin_ranking", {"reduction=sum"}), 1.232051, 1e-5);
}

TEST(MarginRanking, EqualScoresHaveNeitherLossNorSlope) {
  const LossOutcome outcome =
      LossCase{"margin_ranking", {}}.run(plane_samples({30, 30, 30, 30}, {0, 0, 1, 1}));
  EXPECT_EQ(outcome.value.loss, 0);
  for (const float slope : outcome.embedding_gradients) EXPECT_EQ(slope, 0);
}

TEST(Triplet, SoftWeightedMeansAreDominatedByTheHard) {
  // One positive each; negatives in cosine distance: 0: 1 and 2; 60: 0.133975 and 1.5; mean with weights
  // e^-d.
  const auto mean = [](double a, double b) {
    return (a * std::exp(-a) + b * std::exp(-b)) / (std::exp(-a) + std::exp(-b));
  };
  const double at_0 = 0.5 - mean(1, 2) + 0.3, at_60 = 0.5 - mean(1 - kHigh, 1.5) + 0.3,
               at_90 = 1 - mean(1, 1 - kHigh) + 0.3, at_180 = 1 - mean(2, 1.5) + 0.3;
  double expected = 0;
  for (const double v : {at_0, at_60, at_90, at_180}) expected += std::max(0.0, v);
  EXPECT_NEAR(value("triplet", {"miner=soft_weighted", "distance=cosine", "reduction=sum"}), expected, 1e-5);
}

TEST(Triplet, SoftWeightedPositivesWeighByTheirDistance) {
  // Class 0 at 0, 60 and 90; a negative at 180. Anchor 0: positives at 0.5 and 1, weights e^0.5 and e^1.
  const Samples five = plane_samples({0, 60, 90, 180}, {0, 0, 0, 1});
  const auto mean = [](double a, double b) {
    return (a * std::exp(a) + b * std::exp(b)) / (std::exp(a) + std::exp(b));
  };
  const double sum = (mean(0.5, 1) - 2 + 2) + (mean(0.5, 1 - kHigh) - 1.5 + 2) + (mean(1, 1 - kHigh) - 1 + 2);
  EXPECT_NEAR(value("triplet", {"miner=soft_weighted", "distance=cosine", "reduction=sum", "margin=2"}, five),
              sum, 1e-5);
}

TEST(Contrastive, SumsPairsOverAnchors) {
  // Positives 1 - s: 0.5 twice, 1 twice. Negatives above 0.5: 60-90 twice, 0.366025.
  EXPECT_NEAR(value("contrastive", {}), (3 + 2 * 0.366025) / 4, 1e-5);
}

TEST(Contrastive, DividesActivePositivesAndNegativesByThemselves) {
  EXPECT_NEAR(value("contrastive", {"reduction=active"}), 3.0 / 4 + 0.366025, 1e-5);
  EXPECT_NEAR(value("contrastive", {"reduction=pairs"}), 3.0 / 4 + 2 * 0.366025 / 8, 1e-5);
}

TEST(Contrastive, SquaresAsHadsell) {
  // Euclidean 2 sin(angle / 2): positives 1 and sqrt 2; negatives below 1: 60-90 at 0.517638.
  EXPECT_NEAR(value("contrastive", {"distance=euclidean", "square=true", "negative_margin=1"}),
              (1 + 2 + 0.482362 * 0.482362) / 4, 1e-5);
}

TEST(Margin, PutsPairsOnTheirSidesOfTheBoundary) {
  // Alpha 0.1. Positives d - 1.1: sqrt 2 - 1.1 twice; negatives 1.3 - d: 60-90 twice, 1.3 - 0.517638.
  const LossOutcome outcome = LossCase{"margin", {"margin.miner=all", "margin.alpha=0.1"}}.run(kFour);
  EXPECT_NEAR(outcome.value.loss, (2 * 0.314214 + 2 * 0.782362) / 4, 1e-4);
  EXPECT_NEAR(outcome.value.active_fraction, 4.0 / 12, 1e-6);
}

TEST(Margin, BoundaryLearnsFromTheBalanceOfActivePairs) {
  // Two active positives, both of class 1, and two active negatives, one of each class.
  const std::vector<std::string> shared{"margin.miner=all", "margin.alpha=0.1", "margin.learn_beta=shared"};
  EXPECT_NEAR((LossCase{"margin", shared}.run(kFour).parameter_gradients[0]), 0, 1e-6);
  const LossOutcome own = LossCase{
      "margin",
      {"margin.miner=all", "margin.alpha=0.1", "margin.learn_beta=per_class",
       "margin.nu=0.4"}}.run(kFour, 2);
  EXPECT_NEAR(own.parameters[0], 1.2, 1e-6);
  EXPECT_NEAR(own.parameter_gradients[0], 1.0 / 4 + 0.4 / 2, 1e-6);
  EXPECT_NEAR(own.parameter_gradients[1], (1.0 - 2) / 4 + 0.4 / 2, 1e-6);
  EXPECT_NEAR(own.value.loss, (2 * 0.314214 + 2 * 0.782362) / 4 + 0.4 * 1.2, 1e-4);
}

TEST(Margin, RefusesLabelsThatHaveNoBoundary) {
  Samples wrong = kFour;
  wrong.labels[3] = 2;
  EXPECT_THROW((LossCase{"margin", {"margin.learn_beta=per_class"}}.run(wrong)), Error);
}

TEST(NPairs, TellsAnAnchorsClassByRepresentatives) {
  // Representatives: 0 and 90 degrees (ids 0 and 2). Anchors 60: own 0.5, other 0.866025; 180: own 0, other
  // -1.
  EXPECT_NEAR(value("n_pairs", {"scale=2"}),
              (std::log1p(std::exp(2 * (kHigh - 0.5))) + std::log1p(std::exp(2 * (-1 - 0.0)))) / 2, 1e-5);
}

TEST(NtXent, LeavesOtherPositivesOutOfASoftmax) {
  // Class 0 at 0, 60, 90; class 1 at 180, alone. Every pair of class 0 against one negative.
  const Samples four = plane_samples({0, 60, 90, 180}, {0, 0, 0, 1});
  const auto pair = [](double positive, double negative) {
    return std::log1p(std::exp(2 * (negative - positive)));
  };
  const double sum =
      pair(0.5, -1) + pair(0, -1) + pair(0.5, -0.5) + pair(kHigh, -0.5) + pair(0, 0) + pair(kHigh, 0);
  EXPECT_NEAR(value("nt_xent", {"temperature=0.5"}, four), sum / 6, 1e-5);
}

TEST(MultiSimilarity, AddsSoftThresholdsOfBothKinds) {
  // All pairs; alpha 2, beta 4, base 0.5.
  const auto one = [](double p, double n1, double n2) {
    return std::log1p(std::exp(-2 * (p - 0.5))) / 2 +
           std::log1p(std::exp(4 * (n1 - 0.5)) + std::exp(4 * (n2 - 0.5))) / 4;
  };
  const double sum = one(0.5, 0, -1) + one(0.5, kHigh, -0.5) + one(0, 0, kHigh) + one(0, -1, -0.5);
  EXPECT_NEAR(value("multi_similarity", {"miner=all", "beta=4"}), sum / 4, 1e-5);
}

TEST(MultiSimilarity, AnchorsWithoutMinedPairsCountInTheMean) {
  // Epsilon 0.1: 60 keeps both its positive and 90; 90 keeps 180, 0 (at 0 + 0.1 > 0) and 60; others nothing.
  const auto positive = [](double s) { return std::log1p(std::exp(-2 * (s - 0.5))) / 2; };
  const double sum = positive(0.5) + std::log1p(std::exp(4 * (kHigh - 0.5))) / 4 + positive(0) +
                     std::log1p(std::exp(4 * (kHigh - 0.5)) + std::exp(-2.0)) / 4;
  EXPECT_NEAR(value("multi_similarity", {"beta=4"}), sum / 4, 1e-5);
}

TEST(SupCon, MeansOverPositivesAndSkipsAnchorsWithoutAny) {
  const Samples four = plane_samples({0, 60, 90, 180}, {0, 0, 0, 1});
  const auto anchor = [](double p1, double p2, double n) {
    return std::log(std::exp(2 * p1) + std::exp(2 * p2) + std::exp(2 * n)) - (p1 + p2);
  };
  const double sum = anchor(0.5, 0, -1) + anchor(0.5, kHigh, -0.5) + anchor(0, kHigh, 0);
  EXPECT_NEAR(value("supcon", {"temperature=0.5", "base_temperature=0.5"}, four), sum / 3, 1e-5);
  EXPECT_NEAR(value("supcon", {"temperature=0.5", "base_temperature=0.25"}, four), 2 * sum / 3, 1e-5);
}

TEST(Circle, WeighsPairsByTheirDistanceFromTheTarget) {
  // m 0.4, scale 2. Positive logits -2 (1.4 - s)(s - 0.6), negative 2 [s + 0.4]_+ (s - 0.4).
  const auto positive = [](double s) { return -2 * (1.4 - s) * (s - 0.6); };
  const auto negative = [](double s) { return 2 * std::max(0.0, s + 0.4) * (s - 0.4); };
  const auto anchor = [&](double p, double n1, double n2) {
    const double z = positive(p) + std::log(std::exp(negative(n1)) + std::exp(negative(n2)));
    return std::log1p(std::exp(z));
  };
  const double sum =
      anchor(0.5, 0, -1) + anchor(0.5, kHigh, -0.5) + anchor(0, 0, kHigh) + anchor(0, -1, -0.5);
  EXPECT_NEAR(value("circle", {"scale=2"}), sum / 4, 1e-5);
}

TEST(Circle, DetachedWeightsPushWhereTheExactGradientVanishes) {
  // Class 0 twice at 0 degrees, class 1 alone at 90: s_p = 1 and s_n = 0.
  const Samples three = plane_samples({0, 0, 90}, {0, 0, 1});
  const LossOutcome exact = LossCase{"circle", {"circle.scale=2", "circle.gradient=exact"}}.run(three),
                    detached = LossCase{"circle", {"circle.scale=2"}}.run(three);
  EXPECT_EQ(exact.value.loss, detached.value.loss);
  for (const float slope : exact.embedding_gradients) EXPECT_NEAR(slope, 0, 1e-6);
  // Z = -2 (0.4)(0.4) + 2 (0.4)(-0.4): sigmoid(-0.64) scale (0.4) on either side, mean over 2 anchors. The
  // negative pulls along the second axis, once as 90's anchor-less reference.
  const double force = 2 * 0.4 / (1 + std::exp(0.64)) / 2;
  EXPECT_NEAR(detached.embedding_gradients[1], force, 1e-5);       // towards (0, 1): -dL
  EXPECT_NEAR(detached.embedding_gradients[0], -2 * force, 1e-5);  // as anchor and as reference
  EXPECT_NEAR(detached.embedding_gradients[4], 2 * force, 1e-5);   // of both anchors
}

}  // namespace
}  // namespace kindred::test
