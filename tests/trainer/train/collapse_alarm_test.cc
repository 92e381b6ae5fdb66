#include "trainer/train/collapse_alarm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

using testing::HasSubstr;

CollapseAlarm alarm(const std::vector<double>& values, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"kindred-train", "--train.alarm_steps", "3"};
  words.insert(words.end(), more.begin(), more.end());
  return CollapseAlarm(parse_train_options(words), values);
}

StepRecord record(double loss, double spread) {
  StepRecord step;
  step.parts = {{"triplet", loss}};
  step.spread = spread;
  return step;
}

TEST(EmbeddingSpread, IsTheMeanDistanceOfAllPairs) {
  const std::unique_ptr<Stream> stream = make_stream({});
  const Tensor rows(Shape{2, 2});
  rows.f32()[0] = rows.f32()[2] = 1;
  EXPECT_EQ(embedding_spread(*stream, rows), 0);  // both at (1, 0)
  rows.f32()[2] = 0, rows.f32()[3] = 1;
  EXPECT_EQ(embedding_spread(*stream, rows), 0.5);  // pairs: 0, 1, 1, 0
}

TEST(CollapseAlarm, WarnsOnceWhenTheSpreadStaysSmall) {
  CollapseAlarm it = alarm({NAN});
  EXPECT_FALSE(it.look(record(1, 0.01)));
  EXPECT_FALSE(it.look(record(1, 0.01)));
  const auto warning = it.look(record(1, 0.01));
  ASSERT_TRUE(warning);
  EXPECT_THAT(*warning, HasSubstr("spread is 0.0100"));
  EXPECT_THAT(*warning, HasSubstr("lower train.lr"));
  EXPECT_FALSE(it.look(record(1, 0.01)));
}

TEST(CollapseAlarm, CountsAgainAfterAStepOutside) {
  CollapseAlarm it = alarm({NAN});
  for (const double spread : {0.01, 0.01, 0.5, 0.01, 0.01}) EXPECT_FALSE(it.look(record(1, spread)));
  EXPECT_TRUE(it.look(record(1, 0.01)));
}

TEST(CollapseAlarm, WarnsWhenALossIsParkedAtItsCollapseValue) {
  CollapseAlarm it = alarm({0.3});
  EXPECT_FALSE(it.look(record(0.301, 0.5)));
  EXPECT_FALSE(it.look(record(0.299, 0.5)));
  EXPECT_THAT(it.look(record(0.3, 0.5)).value_or(""), HasSubstr("loss triplet stays at 0.3000"));
}

TEST(CollapseAlarm, IsSilentForARunThatLearns) {
  CollapseAlarm it = alarm({0.3});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(it.look(record(0.29, 0.4)));
  CollapseAlarm off = alarm({0.3}, {"--train.alarm_steps", "0"});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(off.look(record(0.3, 0)));
}

TEST(CollapseAlarm, LossesSayWhereTheyPark) {
  const auto value = [](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> words{"kindred-train"};
    words.insert(words.end(), more.begin(), more.end());
    return make_losses({name}, parse_train_options(words))[0].first->collapse_value();
  };
  EXPECT_NEAR(value("triplet", {}), 0.3, 1e-6);
  EXPECT_NEAR(value("triplet", {"--triplet.soft", "--triplet.margin", "0"}), std::log(2), 1e-6);
  EXPECT_NEAR(value("triplet_angular", {"--triplet_angular.add_absolute"}), 0.5 + 0.5, 1e-6);
  EXPECT_TRUE(std::isnan(value("triplet", {"--triplet.margin", "0"})));
  EXPECT_TRUE(std::isnan(value("arcface", {})));
}

}  // namespace
}  // namespace kindred
