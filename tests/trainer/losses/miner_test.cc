// Miners: which pairs they choose, how ties fall, and that tiles change nothing.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"
#include "trainer/miners/noise_guard.h"

namespace kindred::test {
namespace {

constexpr uint8_t kNone = 0, kPositive = kPositivePair, kNegative = kNegativePair;

/// One anchor of class 0 with sample id 0 against columns.
struct Scene {
  std::vector<float> scores;
  std::vector<int64_t> labels, ids;
};

// The marks of all columns, folded and marked in tiles of `width` columns.
std::vector<uint8_t> marks_of(const std::string& miner, const Scene& scene, int64_t width,
                              const std::vector<std::string>& settings = {}) {
  const std::unique_ptr<Stream> stream = make_stream({});
  std::vector<std::string> all{concat("triplet.miner=", miner)};
  all.insert(all.end(), settings.begin(), settings.end());
  const std::unique_ptr<Miner> made = make_miner(loss_options(all), "triplet", Device::cpu, true);
  const int64_t label = 0, id = 0, columns = static_cast<int64_t>(scene.scores.size());
  const auto tile_at = [&](int64_t first) {
    return ScoreTile{scene.scores.data() + first,
                     &label,
                     &id,
                     scene.labels.data() + first,
                     scene.ids.data() + first,
                     1,
                     std::min(width, columns - first),
                     first};
  };
  made->begin(*stream, {1, columns, &label, scene.labels.data(), scene.ids.data(), 16, 3, 5});
  for (int sweep = 0; sweep < made->sweeps(); ++sweep) {
    for (int64_t first = 0; first < columns; first += width) made->fold(*stream, sweep, tile_at(first));
  }
  std::vector<uint8_t> marks(scene.scores.size(), 99);
  for (int64_t first = 0; first < columns; first += width)
    made->mark(*stream, tile_at(first), marks.data() + first);
  return marks;
}

const Scene kScene{{1.0f, 0.7f, 0.4f, 0.6f, 0.3f, 0.1f}, {0, 0, 0, 1, 2, 1}, {0, 4, 5, 6, 7, 8}};

TEST(BatchHardMiner, PicksTheFarthestPositiveAndTheNearestNegative) {
  EXPECT_EQ(marks_of("batch_hard", kScene, 6),
            (std::vector{kNone, kNone, kPositive, kNegative, kNone, kNone}));
}

TEST(SemiHardMiner, PicksTheNearestNegativeBeyondThePositive) {
  EXPECT_EQ(marks_of("semi_hard", kScene, 6),
            (std::vector{kNone, kNone, kPositive, kNone, kNegative, kNone}));
}

TEST(SemiHardMiner, FallsBackAsAsked) {
  Scene scene = kScene;
  scene.scores[2] = 0.05f;
  EXPECT_EQ(marks_of("semi_hard", scene, 6), (std::vector{kNone, kNone, kPositive, kNone, kNone, kNegative}));
  EXPECT_EQ(marks_of("semi_hard", scene, 6, {"triplet.semi_hard_fallback=none"}), std::vector(6, kNone));
}

TEST(AllMiner, LeavesOutOnlyTheSampleItself) {
  EXPECT_EQ(marks_of("all", kScene, 6),
            (std::vector{kNone, kPositive, kPositive, kNegative, kNegative, kNegative}));
}

TEST(BatchHardMiner, BreaksTiesByTheLowestSampleId) {
  // Ids that share their low or high halves, or that a float cannot tell apart.
  const int64_t big = int64_t{1} << 40;
  const Scene scene{
      {0.5f, 0.5f, 0.5f, 0.2f, 0.2f, 0.2f}, {0, 0, 0, 1, 1, 1}, {big + 2, big + 1, 2 * big, 31, 30, 32}};
  EXPECT_EQ(marks_of("batch_hard", scene, 6),
            (std::vector{kNone, kPositive, kNone, kNone, kNegative, kNone}));
  EXPECT_EQ(marks_of("batch_hard", scene, 1),
            (std::vector{kNone, kPositive, kNone, kNone, kNegative, kNone}));
}

TEST(EasyPositiveMiner, PicksTheNearestPositive) {
  EXPECT_EQ(marks_of("easy_positive", kScene, 6),
            (std::vector{kNone, kPositive, kNone, kNegative, kNone, kNone}));
  Scene scene = kScene;
  scene.scores[1] = 0.5f;  // now one negative is nearer than it
  EXPECT_EQ(marks_of("easy_positive", scene, 6),
            (std::vector{kNone, kPositive, kNone, kNone, kNegative, kNone}));
  EXPECT_EQ(marks_of("easy_positive", scene, 6, {"triplet.easy_positive_negative=hard"}),
            (std::vector{kNone, kPositive, kNone, kNegative, kNone, kNone}));
}

TEST(MultiSimilarityMiner, KeepsPairsThatOverlapWithTheOtherKind) {
  // Lowest positive 0.4, highest negative 0.6: negatives above 0.3, positives below 0.7, strictly.
  Scene scene = kScene;
  scene.scores = {1.0f, 0.71f, 0.4f, 0.6f, 0.31f, 0.1f};
  EXPECT_EQ(marks_of("multi_similarity", scene, 6),
            (std::vector{kNone, kNone, kPositive, kNegative, kNegative, kNone}));
  EXPECT_EQ(marks_of("multi_similarity", scene, 6, {"triplet.multi_similarity_epsilon=0"}),
            (std::vector{kNone, kNone, kPositive, kNegative, kNone, kNone}));
}

/// Many negatives of anchor 0, sample ids from 1 up, at these scores in turn.
Scene negatives_at(const std::vector<float>& scores, int64_t count) {
  Scene scene;
  for (int64_t i = 0; i < count; ++i) {
    scene.scores.push_back(scores[static_cast<size_t>(i) % scores.size()]);
    scene.labels.push_back(1);
    scene.ids.push_back(i + 1);
  }
  return scene;
}

TEST(DistanceWeightedMiner, DrawsNegativesByTheInverseOfTheirDensity) {
  // Dimension 16. Scores 0.82 and 0.28: distances 0.6 and 1.2; log weights -14 ln d - 6.5 ln(1 - d^2 / 4).
  // A score of 0 is at distance sqrt 2, past the cutoff; 0.98, at 0.2, counts as 0.5.
  const auto share_of = [](float nearer, float farther) {
    int nearest = 0;
    for (int64_t round = 0; round < 40; ++round) {
      Scene scene = negatives_at({nearer, farther, 0}, 3);
      for (int64_t& id : scene.ids) id += 1000 * round;
      const std::vector<uint8_t> marks =
          marks_of("distance_weighted", scene, 3, {"triplet.distance_weighted_draws=1"});
      EXPECT_EQ(marks[2], kNone);
      EXPECT_EQ((marks[0] != 0) + (marks[1] != 0), 1);
      nearest += marks[0] != 0;
    }
    return nearest / 40.0;
  };
  EXPECT_GT(share_of(0.82f, 0.28f), 0.95);  // e^7.77 to e^0.35
  EXPECT_NEAR(share_of(0.98f, 0.875f), 0.5, 0.2);
}

TEST(DistanceWeightedMiner, DrawsAsManyAsAsked) {
  const Scene scene = negatives_at({0.5f}, 100);
  const auto drawn = [&](const std::string& draws) {
    const std::vector<uint8_t> marks =
        marks_of("distance_weighted", scene, 32, {"triplet.distance_weighted_draws=" + draws});
    return std::ranges::count(marks, kNegative);
  };
  EXPECT_EQ(drawn("1"), 1);
  EXPECT_GE(drawn("8"), 6);  // some may be drawn twice
  EXPECT_LE(drawn("8"), 8);
}

TEST(SoftWeightedMiner, IsForTripletsOnly) {
  const Options options =
      loss_options({"contrastive.miner=soft_weighted", "margin_ranking.miner=soft_weighted"});
  EXPECT_NO_THROW(loss_registry().get("margin_ranking").make.make(options));
  EXPECT_THROW(loss_registry().get("contrastive").make.make(options), UsageError);
}

// Which negatives a guard with these settings leaves of a scene, folded in tiles of `width` columns.
std::vector<int> left_by_guard(const Scene& scene, int64_t width, const std::vector<std::string>& settings) {
  const std::unique_ptr<Stream> stream = make_stream({});
  NoiseGuard guard(loss_options(settings), "triplet");
  const int64_t label = 0, id = 0, columns = static_cast<int64_t>(scene.scores.size());
  ScoreTile tile{scene.scores.data(), &label, &id, scene.labels.data(), scene.ids.data(), 1, columns, 0};
  guard.begin(*stream, 1);
  for (int sweep = 0; sweep < guard.sweeps(); ++sweep) {
    for (int64_t first = 0; first < columns; first += width) {
      guard.fold(*stream, sweep,
                 {scene.scores.data() + first, &label, &id, scene.labels.data() + first,
                  scene.ids.data() + first, 1, std::min(width, columns - first), first});
    }
  }
  tile.negative_limits = guard.limits(*stream);
  std::vector<int> left;
  for (int64_t c = 0; c < columns; ++c) {
    if (tile.negative(0, c)) left.push_back(static_cast<int>(c));
  }
  return left;
}

TEST(NoiseGuard, SkipsTheHardestShareAndNeverMore) {
  Scene scene = negatives_at({0.5f, -0.9f, 0.1f, 0.9f, 0.2f, 0.3f, -0.2f, 0.95f, 0.6f, 0.0f}, 10);
  for (const int64_t width : {1, 3, 10}) {
    EXPECT_EQ(left_by_guard(scene, width, {}).size(), 10u);
    EXPECT_EQ(left_by_guard(scene, width, {"triplet.noise_skip=0.05"}).size(), 10u);
    EXPECT_EQ(left_by_guard(scene, width, {"triplet.noise_skip=0.25"}),
              (std::vector{0, 1, 2, 4, 5, 6, 8, 9}));
    EXPECT_EQ(left_by_guard(scene, width, {"triplet.noise_skip=0.9"}), (std::vector{1}));
  }
  scene.scores[7] = 0.9f;  // a tie with 3: both would be too many
  EXPECT_EQ(left_by_guard(scene, 3, {"triplet.noise_skip=0.1"}).size(), 10u);
}

TEST(NoiseGuard, CapsScoresOfOtherClasses) {
  const Scene scene = negatives_at({0.5f, 0.9f, 0.8f, 0.1f}, 4);
  EXPECT_EQ(left_by_guard(scene, 4, {"triplet.noise_cap=0.8"}), (std::vector{0, 2, 3}));
  // One third of the three that are left.
  EXPECT_EQ(left_by_guard(scene, 4, {"triplet.noise_cap=0.8", "triplet.noise_skip=0.34"}),
            (std::vector{0, 3}));
}

TEST(NoiseGuard, LimitsWhatMinersAndLossesSee) {
  // 60 degrees has a negative at 30 degrees, score 0.866025; with the cap its hardest is at 180.
  const Samples four = plane_samples({0, 60, 90, 180}, {0, 0, 1, 1});
  const LossValue value =
      LossCase{"triplet", {"triplet.distance=cosine", "triplet.reduction=sum", "triplet.noise_cap=0.5"}}
          .run(four)
          .value;
  // 90 to 0: 1 - 1 + 0.3; the others are satisfied.
  EXPECT_NEAR(value.loss, 0.3, 1e-5);
  EXPECT_NEAR(value.hardest_negative, (0 - 0.5 + 0 - 0.5) / 4, 1e-6);
}

TEST(EveryMiner, LeavesRowsAloneThatLackAKind) {
  const Scene no_negative{{0.5f, 0.4f}, {0, 0}, {1, 2}}, no_positive{{0.5f, 0.4f}, {1, 2}, {1, 2}};
  for (const char* miner : {"batch_hard", "semi_hard"}) {
    EXPECT_EQ(marks_of(miner, no_negative, 2), std::vector(2, kNone)) << miner;
    EXPECT_EQ(marks_of(miner, no_positive, 2), std::vector(2, kNone)) << miner;
  }
}

TEST(EveryMiner, ChoosesTheSameWhateverTheTiles) {
  Random random(21, {0, 0, 0});
  for (int round = 0; round < 20; ++round) {
    Scene scene;
    for (int64_t c = 0; c < 23; ++c) {
      scene.scores.push_back(static_cast<float>(random.below(9)) / 8);  // few values: many ties
      scene.labels.push_back(random.below(3));
      scene.ids.push_back(random.below(15));  // some columns are the anchor's sample, some come twice
    }
    for (const std::string& miner : miner_registry().names()) {
      const std::vector<uint8_t> whole = marks_of(miner, scene, 23);
      for (const int64_t width : {1, 4, 16})
        EXPECT_EQ(marks_of(miner, scene, width), whole) << miner << " " << width;
    }
  }
}

}  // namespace
}  // namespace kindred::test
