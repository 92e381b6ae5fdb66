// ArcFace against numbers worked out by hand for two centres in the plane, at 0 and at 90 degrees.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

// The flat values of centres (2, 0) and (0, 3): their lengths must not matter.
std::vector<float> centres() {
  std::vector<float> flat(16);
  flat[0] = 2, flat[3] = 3;
  return flat;
}

LossOutcome arcface(double degrees, int64_t label, std::vector<std::string> settings) {
  settings.push_back("arcface.scale=4");
  Samples one = plane_samples({degrees}, {label});
  one.classes = 2;
  return LossCase{"arcface", settings}.run(one, 1, 1, centres());
}

TEST(ArcFace, AddsTheMarginToTheAngle) {
  // cos(60 degrees + 0.5) = 0.0235966; the other logit is 4 cos 30: ln(1 + e^(3.464102 - 0.094386)).
  const LossValue value = arcface(60, 0, {}).value;
  EXPECT_NEAR(value.loss, 3.403536, 1e-4);
  EXPECT_EQ(value.active_fraction, 1);
  EXPECT_NEAR(value.hardest_positive, 0.5, 1e-6);
  EXPECT_NEAR(value.hardest_negative, 0.866025, 1e-6);
}

TEST(ArcFace, GoesOnInAStraightLinePastPiMinusMargin) {
  // cos 170 - 0.5 sin 0.5 = -1.224520; the other logit is 4 cos 80 = 0.694593.
  EXPECT_NEAR(arcface(170, 0, {}).value.loss, std::log1p(std::exp(0.694593 + 4.898082)), 1e-4);
}

TEST(ArcFace, EasyMarginLeavesRowsBeyondNinetyDegreesAlone) {
  // Logits 4 cos 120 and 4 cos 30.
  EXPECT_NEAR(arcface(120, 0, {"arcface.easy_margin=true"}).value.loss, std::log1p(std::exp(3.464102 + 2)),
              1e-4);
}

TEST(ArcFace, LabelSmoothingSpreadsTheTarget) {
  // Logits 0.094386 and 3.464102, targets 0.9 and 0.1: 3.403536 - 0.1 (3.464102 - 0.094386).
  EXPECT_NEAR(arcface(60, 0, {"arcface.label_smoothing=0.2"}).value.loss, 3.403536 - 0.1 * 3.369715, 1e-4);
}

TEST(ArcFace, StraightThroughDropsTheSlopeOfTheMargin) {
  const LossOutcome exact = arcface(60, 0, {}),
                    through = arcface(60, 0, {"arcface.gradient=straight_through"});
  EXPECT_EQ(exact.value.loss, through.value.loss);
  // sin(60 degrees + 0.5) / sin 60 = 1.154379 on the own centre, which lies along the first axis.
  EXPECT_NEAR(exact.embedding_gradients[0] / through.embedding_gradients[0], 1.154379, 1e-4);
  EXPECT_NEAR(exact.embedding_gradients[1], through.embedding_gradients[1], 1e-6);
}

TEST(ArcFace, CentresMoveAtRightAnglesToThemselves) {
  const LossOutcome outcome = arcface(60, 0, {});
  EXPECT_NEAR(outcome.parameter_gradients[0], 0, 1e-6);
  EXPECT_LT(outcome.parameter_gradients[1], 0);  // descent turns the own centre towards the row
  EXPECT_GT(outcome.parameter_gradients[2], 0);  // and the other away
  EXPECT_NEAR(outcome.parameter_gradients[3], 0, 1e-6);
}

TEST(ArcFace, RowsOnTheirCentreHaveAFiniteGradient) {
  for (const float value : arcface(0, 0, {}).embedding_gradients) EXPECT_TRUE(std::isfinite(value));
  for (const float value : arcface(180, 0, {"arcface.margin=0"}).embedding_gradients)
    EXPECT_TRUE(std::isfinite(value));
}

TEST(ArcFace, RefusesLabelsThatAreNoClass) {
  for (const int64_t label : {-1, 2}) {
    Samples wrong = plane_samples({0, 60}, {0, 1});
    wrong.labels[1] = label;
    EXPECT_THROW((LossCase{"arcface", {}}.run(wrong, 2)), Error);
  }
}

}  // namespace
}  // namespace kindred::test
