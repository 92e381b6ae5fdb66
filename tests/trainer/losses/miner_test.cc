// Miners: which pairs they choose, how ties fall, and that tiles change nothing.
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

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
