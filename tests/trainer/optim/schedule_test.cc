#include "trainer/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/trainer/optim/optim_runner.h"

namespace kindred::test {
namespace {

// Ten steps an epoch, a hundred in all.
Schedule schedule(std::vector<std::string> settings) {
  settings.push_back("train.lr=2");
  return Schedule(optim_options(settings), 10, 100);
}

TEST(Schedule, CosineFallsOverAllSteps) {
  const Schedule cosine = schedule({"train.lr_min=1"});
  EXPECT_DOUBLE_EQ(cosine.learning_rate(0), 2);
  EXPECT_NEAR(cosine.learning_rate(25), 1 + 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(cosine.learning_rate(50), 1.5, 1e-12);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(100), 1);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(1000), 1);
}

TEST(Schedule, WarmUpRisesInALineStepByStep) {
  const Schedule cosine = schedule({"train.warmup_epochs=2", "train.warmup_start=0.5"});
  EXPECT_DOUBLE_EQ(cosine.learning_rate(0), 0.5);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(5), 0.5 + 1.5 / 4);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(19), 0.5 + 1.5 * 19 / 20);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(20), 2);
  EXPECT_NEAR(cosine.learning_rate(60), 1,
              1e-12);  // halfway between the end of the warm-up and the last step
}

TEST(Schedule, WarmUpMayBePartOfAnEpochOrLongerThanTheRun) {
  EXPECT_DOUBLE_EQ(schedule({"train.warmup_epochs=0.5"}).learning_rate(4), 2 * 4 / 5.0);
  EXPECT_DOUBLE_EQ(schedule({"train.warmup_epochs=20"}).learning_rate(50), 1);
}

TEST(Schedule, ConstantStaysAfterTheWarmUp) {
  const Schedule constant = schedule({"train.schedule=constant", "train.warmup_epochs=1"});
  EXPECT_DOUBLE_EQ(constant.learning_rate(5), 1);
  EXPECT_DOUBLE_EQ(constant.learning_rate(10), 2);
  EXPECT_DOUBLE_EQ(constant.learning_rate(99), 2);
}

TEST(Schedule, StepsFallAtTheirEpochs) {
  const Schedule step = schedule({"train.schedule=step", "train.lr_steps=3 6.5", "train.lr_decay=0.5"});
  EXPECT_DOUBLE_EQ(step.learning_rate(29), 2);
  EXPECT_DOUBLE_EQ(step.learning_rate(30), 1);
  EXPECT_DOUBLE_EQ(step.learning_rate(64), 1);
  EXPECT_DOUBLE_EQ(step.learning_rate(65), 0.5);
  EXPECT_DOUBLE_EQ(schedule({"train.schedule=step", "train.lr_steps=1e300"}).learning_rate(99), 2);
}

TEST(Schedule, RefusesValuesThatMakeNoSense) {
  for (const char* setting :
       {"train.schedule=cosinus", "train.lr_min=3", "train.lr_min=-1", "train.warmup_epochs=-1",
        "train.warmup_start=3", "train.lr_decay=0", "train.lr_decay=2", "train.lr_steps=3 x",
        "train.lr_steps=6 3", "train.lr_steps=-1"}) {
    EXPECT_THROW(schedule({"train.schedule=step", setting}), UsageError) << setting;
  }
  EXPECT_THROW(Schedule(optim_options({"train.lr=0"}), 10, 100), UsageError);
}

TEST(Schedule, RefusesOptionsOfAnotherSchedule) {
  EXPECT_THROW(schedule({"train.schedule=step"}), UsageError) << "step without train.lr_steps";
  EXPECT_THROW(schedule({"train.schedule=constant", "train.lr_min=0.1"}), UsageError);
  EXPECT_THROW(schedule({"train.lr_steps=3"}), UsageError);
}

}  // namespace
}  // namespace kindred::test
