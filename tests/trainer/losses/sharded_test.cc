// Class centres shared out among ranks: the same numbers as in one piece, for any number of ranks, with and
// without sampling, and where there are more ranks than classes.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

const char* const kShardable[] = {"arcface", "combined_margin", "cosface",     "circle_class",
                                  "softmax", "adaface",         "soft_triple", "proxy_nca"};

void expect_near(const std::vector<float>& one, const std::vector<float>& other) {
  double largest = 1;
  for (const float value : one) largest = std::max(largest, std::abs(static_cast<double>(value)));
  for (size_t i = 0; i < std::min(one.size(), other.size()); ++i)
    ASSERT_NEAR(one[i], other[i], 1e-5 * largest) << "element " << i;
}

void expect_same(const LossOutcome& one, const LossOutcome& other) {
  EXPECT_NEAR(one.value.loss, other.value.loss, 1e-5 * std::abs(one.value.loss));
  EXPECT_NEAR(one.value.active_fraction, other.value.active_fraction, 1e-9);
  EXPECT_NEAR(one.value.hardest_positive, other.value.hardest_positive, 1e-6);
  EXPECT_NEAR(one.value.hardest_negative, other.value.hardest_negative, 1e-6);
  expect_near(one.embedding_gradients, other.embedding_gradients);
  expect_near(one.parameters, other.parameters);
  expect_near(one.parameter_gradients, other.parameter_gradients);
}

TEST(ShardedCentres, EqualReplicatedOnes) {
  const Samples samples = random_samples(21, 7, 4, 16);  // classes that no number of ranks divides
  for (const char* name : kShardable) {
    SCOPED_TRACE(name);
    const LossOutcome replicated = LossCase{name, {}}.run(samples);
    const LossCase sharded{name, {concat(name, ".sharded=true")}};
    for (const int ranks : {1, 2, 4}) expect_same(replicated, sharded.run(samples, ranks));
  }
}

TEST(ShardedCentres, SampleTheSameClassesOnAnyNumberOfRanks) {
  Samples samples = random_samples(22, 7, 4, 16);
  samples.classes = 60;  // most have no row
  for (const char* name : kShardable) {
    SCOPED_TRACE(name);
    const LossCase sampled{name, {concat(name, ".sharded=true"), concat(name, ".sample_rate=0.3")}};
    const LossOutcome one = sampled.run(samples);
    for (const int ranks : {2, 4}) expect_same(one, sampled.run(samples, ranks));
    EXPECT_LT(one.value.loss, (LossCase{name, {concat(name, ".sharded=true")}}.run(samples).value.loss));
  }
}

TEST(ShardedCentres, WithRateZeroOnlyTheBatchsOwnClassesTakePart) {
  Samples samples = random_samples(23, 5, 4, 16), alone = samples;
  samples.classes = 40;
  const LossCase loss{"cosface", {"cosface.sharded=true", "cosface.sample_rate=0"}};
  const LossOutcome of_many = loss.run(samples, 2);
  size_t touched = 0;
  for (size_t row = 0; row < 40; ++row) {
    bool moved = false;
    for (size_t i = 0; i < 16; ++i) moved = moved || of_many.parameter_gradients[16 * row + i] != 0;
    touched += moved;
    EXPECT_EQ(moved, row < 5) << row;
  }
  EXPECT_EQ(touched, 5u);
  EXPECT_NEAR(of_many.value.loss, loss.run(alone).value.loss, 0.5);  // as if the other 35 did not exist
}

TEST(ShardedCentres, MoreRanksThanClassesLeaveSomeWithNone) {
  Samples samples = random_samples(24, 2, 2, 16);
  for (const char* name : kShardable) {
    SCOPED_TRACE(name);
    const LossCase loss{name, {concat(name, ".sharded=true")}};
    expect_same(loss.run(samples), loss.run(samples, 4));
  }
}

TEST(ShardedCentres, SubCentresOfAClassStayTogether) {
  const Samples samples = random_samples(25, 5, 4, 16);
  const LossOutcome replicated = LossCase{"arcface", {"arcface.sub_centres=3"}}.run(samples);
  const LossCase sharded{"arcface", {"arcface.sub_centres=3", "arcface.sharded=true"}};
  for (const int ranks : {2, 4}) expect_same(replicated, sharded.run(samples, ranks));
}

TEST(ShardedCentres, ZeroAndCollapsedRowsStayFinite) {
  Samples samples = random_samples(26, 4, 2, 16);
  std::fill_n(samples.embeddings.begin(), 16, 0.0f);
  for (const char* name : kShardable) {
    for (const char* sharded : {"false", "true"}) {
      const LossOutcome outcome = LossCase{name, {concat(name, ".sharded=", sharded)}}.run(samples, 2);
      EXPECT_TRUE(std::isfinite(outcome.value.loss)) << name;
      for (const float value : outcome.embedding_gradients) ASSERT_TRUE(std::isfinite(value)) << name;
      for (const float value : outcome.parameter_gradients) ASSERT_TRUE(std::isfinite(value)) << name;
    }
  }
}

}  // namespace
}  // namespace kindred::test
