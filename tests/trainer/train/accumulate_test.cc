// train.accumulate: a batch in chunks trains as the batch at once.
#include <gtest/gtest.h>

#include <filesystem>

#include "common/image/decode.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// Layer norm only, and every random thing that a network has.
TEST(Accumulate, ChunksOnRanksEqualTheBigBatchWithoutBatchNorm) {
  test::TemporaryFolder folder;
  const std::string path = folder.path().string();
  write_tiny_data(path + "/data", 2, 4);
  const std::vector<std::string> swin{
      "--model.arch",    "swin_tiny_224", "--train.batch",     "8",
      "--train.lr",      "0.01",          "--model.drop_path", "0.3",
      "--model.dropout", "0.2",           "--train.losses",    "triplet softmax*0.5"};
  const Curve whole = train_on(1, 1, path, swin),
              chunks = train_on(2, 1, path, with(swin, {"--train.accumulate", "2"}));
  EXPECT_NEAR(chunks.losses[0], whole.losses[0], 1e-5 * whole.losses[0]);
  EXPECT_NEAR(chunks.norms[0], whole.norms[0], 1e-4 * whole.norms[0]);
  EXPECT_LT(relative_distance(chunks.values, whole.values),
            1e-3 * relative_distance(whole.start, whole.values));
}

// All pictures are one, so a chunk's statistics are the batch's: two chunks in one step must leave what two
// steps leave, though every chunk went through the network twice.
TEST(Accumulate, RunningStatisticsMoveOnceAChunk) {
  test::TemporaryFolder folder;
  const std::string path = folder.path().string();
  write_tiny_data(path + "/one", 1, 1);
  const std::string picture = read_file(path + "/one/class0/0.png");
  for (int c = 0; c < 4; ++c) {
    std::filesystem::create_directories(concat(path, "/data/class", c));
    for (int i = 0; i < 4; ++i) write_file(concat(path, "/data/class", c, "/", i, ".png"), picture);
  }
  const std::vector<std::string> still{"--data.augment",    "",    "--train.lr", "1e-9",
                                       "--train.clip_norm", "1e-3"};
  const Curve one_step = train_on(1, 1, path, still), two_steps = train_on(1, 2, path, still),
              two_chunks = train_on(1, 1, path, with(still, {"--train.accumulate", "2"}));
  // Rounding grows: the variance is small.
  EXPECT_LT(relative_distance(two_chunks.buffers, two_steps.buffers), 0.01);
  EXPECT_GT(relative_distance(one_step.buffers, two_steps.buffers), 0.05);
}

TEST(Accumulate, TrainsWithBatchNorm) {
  test::TemporaryFolder folder;
  const std::string path = folder.path().string();
  write_tiny_data(path + "/data", 8, 4);
  const std::vector<std::string> chunks{"--train.accumulate", "2", "--train.batch", "32", "--model.bnneck"};
  const Curve one = train_on(1, 3, path, chunks), two = train_on(2, 3, path, chunks);
  EXPECT_GT(relative_distance(one.start, one.values), 1e-4);
  EXPECT_TRUE(std::isfinite(two.losses.back()));
}

TEST(Accumulate, MustDivideARanksImages) {
  test::TemporaryFolder folder;
  const std::string path = folder.path().string();
  write_tiny_data(path + "/data", 4, 4);
  EXPECT_THROW(train_on(1, 1, path, {"--train.accumulate", "3"}), UsageError);
  EXPECT_THROW(train_on(1, 1, path, {"--train.accumulate", "0"}), UsageError);
}

}  // namespace
}  // namespace kindred
