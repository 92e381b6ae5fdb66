// R ranks with B rows each compute what one rank with R*B rows computes, and the gradient is the value's: for
// every registered loss.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

void expect_near(const std::vector<float>& one, const std::vector<float>& other, double tolerance) {
  ASSERT_EQ(one.size(), other.size());
  double largest = 1;
  for (const float value : one) largest = std::max(largest, std::abs(static_cast<double>(value)));
  for (size_t i = 0; i < one.size(); ++i)
    ASSERT_NEAR(one[i], other[i], tolerance * largest) << "element " << i;
}

void expect_same(const LossOutcome& one, const LossOutcome& other, double tolerance) {
  EXPECT_NEAR(one.value.loss, other.value.loss, tolerance * std::abs(one.value.loss));
  EXPECT_NEAR(one.value.active_fraction, other.value.active_fraction, 1e-12);
  EXPECT_NEAR(one.value.hardest_positive, other.value.hardest_positive, 1e-6);
  EXPECT_NEAR(one.value.hardest_negative, other.value.hardest_negative, 1e-6);
  expect_near(one.embedding_gradients, other.embedding_gradients, tolerance);
  expect_near(one.parameter_gradients, other.parameter_gradients, tolerance);
}

void expect_ranks_equal_one(int ranks) {
  const Samples samples = random_samples(11, 6, 4, 24);
  for (const LossCase& loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    const LossOutcome one = loss.run(samples);
    EXPECT_TRUE(one.value.loss != 0 || loss.name == "margin_ranking");  // which may be satisfied by its miner
    expect_same(one, loss.run(samples, ranks), 1e-5);
  }
}

TEST(EveryLoss, TwoRanksEqualOne) { expect_ranks_equal_one(2); }
TEST(EveryLoss, FourRanksEqualOne) { expect_ranks_equal_one(4); }

TEST(EveryLoss, TilesChangeNothing) {
  const Samples samples = random_samples(16, 9, 8, 24);  // 72 columns: tiles of 16, the last one of 8
  for (LossCase loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    const LossOutcome dense = loss.run(samples);
    loss.tile_bytes = 1;
    expect_same(dense, loss.run(samples), 1e-6);
    expect_same(dense, loss.run(samples, 2), 1e-5);
  }
}

/// What a bank could hold when `now` is the batch: other samples, and some of the same ones as they were.
Samples past_of(const Samples& now) {
  Samples past = random_samples(17, now.classes, 5, now.dim);
  std::copy_n(now.ids.begin(), 8, past.ids.begin());
  return past;
}

TEST(EveryLoss, RanksEqualOneWithAMemoryBank) {
  const Samples samples = random_samples(11, 6, 4, 24), past = past_of(samples);
  int with_bank = 0;
  for (LossCase loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    const LossValue alone = loss.run(samples).value;
    loss.past = &past;
    const LossOutcome one = loss.run(samples);
    with_bank += one.value.loss != alone.loss;
    expect_same(one, loss.run(samples, 2), 1e-5);
    loss.tile_bytes = 1;
    expect_same(one, loss.run(samples, 4), 1e-5);
  }
  EXPECT_GE(with_bank, 60);
}

// Steps along random directions. A step over the kink of a hinge shows in the active fraction and says
// nothing.
void expect_gradient_is_slope(const LossCase& loss, const Samples& samples) {
  constexpr double kStep = 1e-3;
  const LossOutcome here = loss.run(samples);
  int smooth = 0;
  for (uint64_t direction = 0; direction < 12; ++direction) {
    Random random(3, {direction, 0, 0});
    Samples ahead = samples, behind = samples;
    double slope = 0, largest = 0;
    const size_t row = static_cast<size_t>(random.below(samples.count())),
                 width = static_cast<size_t>(samples.dim);
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      const double step = kStep * random.normal();
      ahead.embeddings[i] += static_cast<float>(step), behind.embeddings[i] -= static_cast<float>(step);
      slope += static_cast<double>(here.embedding_gradients[i]) * step;
      largest += std::abs(static_cast<double>(here.embedding_gradients[i]) * step);
    }
    const LossValue after = loss.run(ahead).value, before = loss.run(behind).value;
    const double tolerance = 0.01 * largest + 2e-7 * std::abs(here.value.loss);
    const double bend = after.loss + before.loss - 2 * here.value.loss;
    if (after.active_fraction != before.active_fraction || std::abs(bend) > 2 * tolerance) continue;
    ++smooth;
    EXPECT_NEAR((after.loss - before.loss) / 2, slope, tolerance) << "row " << row;
  }
  EXPECT_GE(smooth, 5);
  for (uint64_t direction = 0; direction < 3 && !here.parameters.empty(); ++direction) {
    Random random(4, {direction, 0, 0});
    std::vector<float> ahead = here.parameters, behind = here.parameters;
    double slope = 0, largest = 0;
    for (size_t i = 0; i < ahead.size(); ++i) {
      const double step = kStep * random.normal();
      ahead[i] += static_cast<float>(step), behind[i] -= static_cast<float>(step);
      slope += static_cast<double>(here.parameter_gradients[i]) * step;
      largest += std::abs(static_cast<double>(here.parameter_gradients[i]) * step);
    }
    const LossValue after = loss.run(samples, 1, 1, ahead).value,
                    before = loss.run(samples, 1, 1, behind).value;
    if (after.active_fraction != before.active_fraction) continue;
    EXPECT_NEAR((after.loss - before.loss) / 2, slope, 0.01 * largest + 2e-7 * here.value.loss);
  }
}

TEST(EveryLoss, GradientIsTheSlopeOfTheValue) {
  const Samples samples = random_samples(12, 4, 3, 16);
  for (LossCase loss : every_loss()) {
    if (!loss.is_slope) continue;
    if (loss.name == "circle") loss.settings.push_back("circle.gradient=exact");
    SCOPED_TRACE(loss.text());
    expect_gradient_is_slope(loss, samples);
  }
}

TEST(EveryLoss, GradientIsTheSlopeWithAMemoryBank) {
  const Samples samples = random_samples(12, 4, 3, 16), past = past_of(samples);
  for (LossCase loss : every_loss()) {
    if (!loss.is_slope) continue;
    if (loss.name == "circle") loss.settings.push_back("circle.gradient=exact");
    loss.past = &past;
    SCOPED_TRACE(loss.text());
    expect_gradient_is_slope(loss, samples);
  }
}

TEST(EveryLoss, WeightScalesGradientsAndNotTheValue) {
  const Samples samples = random_samples(13, 4, 3, 16);
  for (const LossCase& loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    LossOutcome once = loss.run(samples);
    const LossOutcome thrice = loss.run(samples, 1, 3);
    EXPECT_EQ(once.value.loss, thrice.value.loss);
    for (float& value : once.embedding_gradients) value *= 3;
    for (float& value : once.parameter_gradients) value *= 3;
    expect_near(once.embedding_gradients, thrice.embedding_gradients, 1e-6);
    expect_near(once.parameter_gradients, thrice.parameter_gradients, 1e-6);
  }
}

TEST(EveryLoss, ReportsAnEmbeddingThatIsNotANumber) {
  for (const LossCase& loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    Samples samples = random_samples(14, 4, 3, 16);
    samples.embeddings[20] = std::nanf("");
    EXPECT_TRUE(std::isnan(loss.run(samples, 2).value.loss));
  }
}

void expect_finite(const LossOutcome& outcome) {
  EXPECT_TRUE(std::isfinite(outcome.value.loss));
  EXPECT_TRUE(std::isfinite(outcome.value.hardest_positive));
  EXPECT_TRUE(std::isfinite(outcome.value.hardest_negative));
  EXPECT_GE(outcome.value.active_fraction, 0);
  EXPECT_LE(outcome.value.active_fraction, 1);
  for (const float value : outcome.embedding_gradients) ASSERT_TRUE(std::isfinite(value));
  for (const float value : outcome.parameter_gradients) ASSERT_TRUE(std::isfinite(value));
}

TEST(EveryLoss, StaysFiniteOnDegenerateBatches) {
  const Samples normal = random_samples(15, 4, 2, 16);
  Samples one_class = normal, singletons = normal, collapsed = normal, one_sample = normal, zeros = normal,
          duplicates = normal, two_classes = normal;
  std::ranges::fill(one_class.labels, 0);
  for (size_t i = 0; i < singletons.labels.size(); ++i) singletons.labels[i] = static_cast<int64_t>(i);
  singletons.classes = singletons.count();
  for (size_t i = 16; i < collapsed.embeddings.size(); ++i)
    collapsed.embeddings[i] = collapsed.embeddings[i - 16];
  std::ranges::fill(one_sample.ids, 1);
  std::fill_n(zeros.embeddings.begin(), 2 * 16, 0.0f);
  // One picture under two ids in a class, and in two classes.
  std::copy_n(normal.embeddings.begin(), 16, duplicates.embeddings.begin() + 4 * 16);
  std::copy_n(normal.embeddings.begin() + 16, 16, duplicates.embeddings.begin() + 2 * 16);
  for (int64_t& label : two_classes.labels) label %= 2;  // fewer than the ranks
  for (LossCase loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    for (const Samples& samples :
         {one_class, singletons, collapsed, one_sample, zeros, duplicates, two_classes}) {
      loss.past = nullptr;
      expect_finite(loss.run(samples, 4));
      loss.past = &normal;
      expect_finite(loss.run(samples, 2));
    }
  }
}

// Labels are what the data set calls them: only what has a parameter per class can say that one is wrong.
TEST(EveryLoss, TakesGapsInLabelsOrRefusesThem) {
  Samples gaps = random_samples(15, 4, 2, 16);
  const Samples close = gaps;
  for (int64_t& label : gaps.labels) label = label * 1000003 - 5;
  int taken = 0;
  for (const LossCase& loss : every_loss()) {
    SCOPED_TRACE(loss.text());
    try {
      const LossOutcome outcome = loss.run(gaps, 2);
      EXPECT_EQ(outcome.value.loss, loss.run(close, 2).value.loss);
      ++taken;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("label -5"), std::string::npos) << error.what();
    }
  }
  EXPECT_GE(taken, 60);
}

}  // namespace
}  // namespace kindred::test
