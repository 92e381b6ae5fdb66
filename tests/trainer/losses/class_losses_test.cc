// Losses on class centres against numbers worked out by hand in the plane. Unless said otherwise there are
// two centres, (2, 0) and (0, 3), at 0 and 90 degrees; a row at 60 degrees has cosines 0.5 and 0.866025 with
// them.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

constexpr double kOwn = 0.5, kOther = 0.8660254;  // cosines of a row at 60 degrees, class 0

std::vector<float> flat(std::initializer_list<float> values) {
  std::vector<float> padded(16);
  std::ranges::copy(values, padded.begin());
  return padded;
}

Samples rows_at(const std::vector<double>& degrees, const std::vector<int64_t>& labels) {
  Samples samples = plane_samples(degrees, labels);
  samples.classes = 2;
  return samples;
}

LossOutcome run(const std::string& name, const std::vector<std::string>& settings,
                const Samples& samples = rows_at({60}, {0}),
                const std::vector<float>& centres = flat({2, 0, 0, 3})) {
  std::vector<std::string> all;
  for (const std::string& setting : settings) all.push_back(concat(name, ".", setting));
  return LossCase{name, all}.run(samples, 1, 1, centres);
}

// -ln p of the first of two logits.
double cross_entropy(double own, double other) { return std::log1p(std::exp(other - own)); }

TEST(CosFace, TakesTheMarginOffTheCosine) {
  const LossValue value = run("cosface", {"scale=4"}).value;
  EXPECT_NEAR(value.loss, cross_entropy(4 * (kOwn - 0.35), 4 * kOther), 1e-5);
  EXPECT_EQ(value.active_fraction, 1);
  EXPECT_NEAR(value.hardest_positive, kOwn, 1e-6);
  EXPECT_NEAR(value.hardest_negative, kOther, 1e-6);
}

TEST(CombinedMargin, IsArcFaceWithM2Alone) {
  const double arc = run("arcface", {"scale=4"}).value.loss;
  EXPECT_NEAR(run("combined_margin", {"scale=4", "m2=0.5", "m3=0"}).value.loss, arc, 1e-4);
}

TEST(CombinedMargin, TurnsAndLowers) {
  // cos(2 * 60 degrees + 0.3) = -0.733596.
  const LossOutcome outcome = run("combined_margin", {"scale=4", "m1=2", "m2=0.3", "m3=0.1"});
  EXPECT_NEAR(outcome.value.loss, cross_entropy(4 * (-0.733596 - 0.1), 4 * kOther), 1e-4);
  const LossOutcome through =
      run("combined_margin", {"scale=4", "m1=2", "m2=0.3", "m3=0.1", "gradient=straight_through"});
  // 2 sin(120 degrees + 0.3) / sin 60 degrees, along the own centre.
  EXPECT_NEAR(outcome.embedding_gradients[0] / through.embedding_gradients[0], 1.569436, 1e-4);
}

TEST(CombinedMargin, GoesOnFallingPastPi) {
  // -1 - (cos((pi - 0.3) / 2) - cos 170) = -2.134246.
  const LossValue value =
      run("combined_margin", {"scale=4", "m1=2", "m2=0.3", "m3=0.1"}, rows_at({170}, {0})).value;
  EXPECT_NEAR(value.loss, cross_entropy(4 * -2.234246, 4 * 0.173648), 1e-4);
}

TEST(CircleClass, PullsHarderFromAfar) {
  // Own (1.35 - 0.5) (0.5 - 0.65), other (0.866025 + 0.35) (0.866025 - 0.35).
  const LossOutcome detached = run("circle_class", {"scale=4"});
  EXPECT_NEAR(detached.value.loss, cross_entropy(4 * -0.1275, 4 * 0.6275), 1e-5);
  const LossOutcome exact = run("circle_class", {"scale=4", "gradient=exact"});
  EXPECT_EQ(exact.value.loss, detached.value.loss);
  // Slopes of the own logit: 0.85 when detached, 2 (1 - 0.5) else; the first axis sees that centre alone.
  EXPECT_NEAR(detached.embedding_gradients[0] / exact.embedding_gradients[0], 0.85, 1e-5);
  // Of the other: 1.216025 and 2 * 0.866025.
  EXPECT_NEAR(detached.embedding_gradients[1] / exact.embedding_gradients[1], 1.2160254 / 1.7320508, 1e-5);
}

TEST(Softmax, ReadsRawRowsAndPlainCentres) {
  // The sample with id 0 has norm 1, that with id 1 1.625: logits times the centres' lengths.
  const Samples two = rows_at({60, 60}, {0, 0});
  EXPECT_NEAR(run("softmax", {}, two).value.loss,
              (cross_entropy(2 * kOwn, 3 * kOther) + cross_entropy(3.25 * kOwn, 4.875 * kOther)) / 2, 1e-5);
  EXPECT_NEAR(run("softmax", {"raw=false"}, two).value.loss, cross_entropy(2 * kOwn, 3 * kOther), 1e-5);
}

TEST(Softmax, LabelSmoothingSpreadsTheTarget) {
  EXPECT_NEAR(run("softmax", {"label_smoothing=0.2"}).value.loss,
              cross_entropy(2 * kOwn, 3 * kOther) + 0.1 * (2 * kOwn - 3 * kOther), 1e-5);
}

TEST(ProxyNca, ComparesSquaredDistances) {
  // d = 1 and 0.267949; the own proxy stands in the denominator only when asked to.
  EXPECT_NEAR(run("proxy_nca", {"scale=1"}).value.loss, 1 - 0.267949, 1e-5);
  EXPECT_NEAR(run("proxy_nca", {"scale=1", "own_in_total=true"}).value.loss, cross_entropy(-1, -0.267949),
              1e-5);
}

TEST(ProxyNca, ASingleClassHasNothingToLearn) {
  Samples one = plane_samples({60, 10}, {0, 0});
  const LossOutcome outcome = LossCase{"proxy_nca", {}}.run(one);
  EXPECT_EQ(outcome.value.loss, 0);
  for (const float value : outcome.embedding_gradients) EXPECT_EQ(value, 0);
}

TEST(AdaFace, FollowsTheNormsOfTheBatch) {
  // Norms 1 and 1.625: mean 1.3125, deviation 0.441942, k = -0.234935 and 0.234935. Own logits
  // cos(60 degrees - 0.4 k) - 0.4 (1 + k) = 0.110504 and 0.085084.
  const LossOutcome outcome = run("adaface", {"scale=4", "memory=0"}, rows_at({60, 60}, {0, 0}));
  EXPECT_NEAR(outcome.value.loss, 3.118227, 1e-4);
  ASSERT_EQ(outcome.buffers.size(), 32u);  // deviation and mean, each in a block of 16
  EXPECT_NEAR(outcome.buffers[0], 0.441942, 1e-5);
  EXPECT_NEAR(outcome.buffers[16], 1.3125, 1e-5);
}

TEST(AdaFace, RemembersEarlierNorms) {
  const LossOutcome outcome = run("adaface", {"memory=0.9"}, rows_at({60, 60}, {0, 0}));
  EXPECT_NEAR(outcome.buffers[0], 0.9 * 100 + 0.1 * 0.441942, 1e-4);
  EXPECT_NEAR(outcome.buffers[16], 0.9 * 20 + 0.1 * 1.3125, 1e-4);
}

TEST(AdaFace, IsTheSameOnAnyNumberOfRanks) {
  const LossCase loss{"adaface", {}};
  const Samples samples = random_samples(3, 4, 2, 16);
  EXPECT_NEAR(loss.run(samples, 4).buffers[0], loss.run(samples).buffers[0], 1e-6);
}

TEST(ArcFace, TheNearestSubCentreCounts) {
  // Class 0 at 0 and 90 degrees, class 1 at 180 and 200: 30 and 120 degrees away from the row.
  const std::vector<float> centres = flat({1, 0, 0, 1, -1, 0, -0.9396926f, -0.3420201f});
  const LossOutcome outcome =
      run("arcface", {"scale=4", "margin=0", "sub_centres=2"}, rows_at({60}, {0}), centres);
  EXPECT_NEAR(outcome.value.loss, cross_entropy(4 * kOther, 4 * -0.5), 1e-6);
  for (const size_t still : {0, 1, 6, 7}) EXPECT_EQ(outcome.parameter_gradients[still], 0) << still;
  EXPECT_NE(outcome.parameter_gradients[2], 0);
  EXPECT_NE(outcome.parameter_gradients[5], 0);
}

TEST(SoftTriple, PoolsCentresAndDrawsThemTogether) {
  // Means under softmax(s / 0.1): 0.856845 of 0.5 and 0.866025, -0.517386 of -0.5 and -0.766044. Pairs of
  // centres 90 and 20 degrees apart: 0.2 / (2 * 2 * 1) (1.414217 + 0.347311).
  const double own_angle = 0.856845, other = -0.517386;
  const std::vector<float> centres = flat({1, 0, 0, 1, -1, 0, -0.9396926f, -0.3420201f});
  // Class 1 at 180 and 200 degrees: the row is 120 and 140 degrees away.
  const LossValue value = run("soft_triple", {"centres=2", "scale=4"}, rows_at({60}, {0}), centres).value;
  EXPECT_NEAR(value.loss, cross_entropy(4 * (own_angle - 0.01), 4 * other) + 0.088076, 1e-5);
}

TEST(ProxyAnchor, SumsOverRowsInsideTheLogarithm) {
  const Samples two = rows_at({60, 100}, {0, 1});
  const LossCase loss{"proxy_anchor", {"proxy_anchor.scale=4"}};
  EXPECT_NEAR(loss.run(two, 1, 1, flat({2, 0, 0, 3})).value.loss, 2.327025, 1e-5);
  EXPECT_NEAR(loss.run(two, 2, 1, flat({2, 0, 0, 3})).value.loss, 2.327025, 1e-5);
}

TEST(ProxyAnchor, DividesPullsByProxiesThatHaveRows) {
  // ln(1 + e^(-4 (0.5 - 0.1))) / 1 + ln(1 + e^(4 (0.866025 + 0.1))) / 2.
  EXPECT_NEAR(run("proxy_anchor", {"scale=4"}).value.loss, 2.126334, 1e-5);
}

TEST(Center, MeasuresFromZeroAndFollowsItsRows) {
  // Centres start at 0: |x|^2 / 2 of unit rows. Class 0 moves by 0.5 (x0 + x1) / 3, class 1 by 0.5 x2 / 2.
  const LossOutcome outcome = LossCase{"center", {}}.run(rows_at({0, 90, 180}, {0, 0, 1}));
  EXPECT_NEAR(outcome.value.loss, 0.5, 1e-6);
  EXPECT_NEAR(outcome.buffers[0], 1.0 / 6, 1e-6);
  EXPECT_NEAR(outcome.buffers[1], 1.0 / 6, 1e-6);
  EXPECT_NEAR(outcome.buffers[2], -0.25, 1e-6);
  EXPECT_NEAR(outcome.embedding_gradients[0], 1.0 / 3, 1e-6);
}

TEST(Center, CentresAreTheSameOnAnyNumberOfRanks) {
  const LossCase loss{"center", {"center.raw=true"}};
  const Samples samples = random_samples(3, 4, 3, 16);
  const std::vector<float> one = loss.run(samples).buffers, four = loss.run(samples, 4).buffers;
  ASSERT_EQ(one.size(), four.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], four[i], 1e-6);
}

TEST(Distillation, ComparesWithTheTeacherRowByRowAndPairByPair) {
  const Samples samples = random_samples(5, 3, 2, 8);
  const Tensor ids(Shape{6}, DType::i64);
  std::ranges::copy(samples.ids, ids.data<int64_t>());
  const Tensor teacher = teacher_rows(ids, 8);
  const auto dot = [](const float* a, const float* b) {
    double sum = 0;
    for (int i = 0; i < 8; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  double apart = 0, difference = 0;
  for (int i = 0; i < 6; ++i) {
    const float* const own = samples.embeddings.data() + 8 * i;
    apart += 1 - dot(own, teacher.f32() + 8 * i);
    for (int j = 0; j < 6; ++j) {
      const double gap =
          dot(own, samples.embeddings.data() + 8 * j) - dot(teacher.f32() + 8 * i, teacher.f32() + 8 * j);
      difference += i == j ? 0 : gap * gap;
    }
  }
  EXPECT_NEAR(run("distillation", {"cosine_weight=2"}, samples, {}).value.loss,
              2 * apart / 6 + difference / 30, 1e-5);
}

TEST(Distillation, NeedsATeacher) {
  const auto loss = loss_registry().get("distillation").make.make(loss_options({}));
  const std::unique_ptr<Stream> stream = make_stream({});
  EXPECT_EQ(loss->teacher(), "");
  EXPECT_THROW(loss->run(*stream, *make_self_communicator(), {}, {}, 1), Error);
}

TEST(EveryClassLoss, RefusesLabelsThatAreNoClass) {
  for (const char* name : {"arcface", "combined_margin", "cosface", "circle_class", "softmax", "proxy_nca",
                           "adaface", "soft_triple", "proxy_anchor", "center"}) {
    for (const int64_t label : {-1, 2}) {
      Samples wrong = rows_at({0, 60}, {0, 1});
      wrong.labels[1] = label;
      EXPECT_THROW((LossCase{name, {}}.run(wrong, 2)), Error) << name;
    }
  }
}

TEST(EveryClassLoss, ChecksItsOptions) {
  for (const auto& [name, setting] : std::initializer_list<std::pair<std::string, std::string>>{
           {"cosface", "margin=-1"},
           {"cosface", "scale=0"},
           {"cosface", "sample_rate=0.5"},  // not sharded
           {"cosface", "label_smoothing=1"},
           {"combined_margin", "m1=0.5"},
           {"circle_class", "gradient=exakt"},
           {"arcface", "sub_centres=0"},
           {"soft_triple", "gamma=0"},
           {"soft_triple", "centres=65"},
           {"proxy_anchor", "scale=100"},
           {"proxy_nca", "centre_lr=0"},
           {"adaface", "memory=1"},
           {"center", "rate=0"},
           {"distillation", "cosine_weight=-1"}}) {
    EXPECT_THROW(loss_registry().get(name).make.make(loss_options({concat(name, ".", setting)})), UsageError)
        << name << " " << setting;
  }
}

}  // namespace
}  // namespace kindred::test
