// The memory bank in training: the same on any number of ranks, and after a resume.
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred {
namespace {

// Small clipped steps: see ranks_test.cc.
const std::vector<std::string> kWithBank{"--train.losses",
                                         "contrastive triplet*0.5",
                                         "--train.lr",
                                         "0.0001",
                                         "--train.clip_norm",
                                         "0.3",
                                         "--train.batch",
                                         "32",
                                         "--bank.size",
                                         "75",
                                         "--bank.start",
                                         "1",
                                         "--bank.max_age",
                                         "2",
                                         "--bank.weight",
                                         "0.7",
                                         "--model.image_size",
                                         "64",
                                         "--model.bnneck",
                                         "--train.tile_mb",
                                         "1"};

TEST(Bank, TrainsTheSameOnAnyNumberOfRanks) {
  test::TemporaryFolder folder;
  write_tiny_data(folder.path().string() + "/data", 8, 10);
  const Curve one = train_on(1, 6, folder.path().string(), kWithBank),
              two = train_on(2, 6, folder.path().string(), kWithBank);
  for (size_t i = 0; i < one.losses.size(); ++i)
    EXPECT_NEAR(two.losses[i], one.losses[i], 1e-4 * one.losses[i]) << "step " << i;
  EXPECT_LT(relative_distance(two.values, one.values), 1e-4);
  EXPECT_GT(one.losses[1], 1.2 * one.losses[0]) << "the bank adds its share from bank.start on";
}

// Runs to step `stop_after` as kindred-train would, resuming what is there. Losses come from train_on.
void run_to(int ranks, int stop_after, const std::string& folder) {
  std::vector<std::string> more = kWithBank;
  more.insert(more.end(), {"--train.stop_after", concat(stop_after)});
  run_thread_ranks(ranks, [&](Communicator& communicator) {
    const Options options = parse_train_options(tiny_arguments(folder, more));
    const std::unique_ptr<Stream> stream = make_stream({});
    Trainer(read_train_config(options), options, *stream, communicator).run();
  });
}

TEST(Bank, IsResumedOnAnotherNumberOfRanks) {
  test::TemporaryFolder folder, straight;
  for (const test::TemporaryFolder* each : {&folder, &straight})
    write_tiny_data(each->path().string() + "/data", 8, 10);
  const Curve all = train_on(1, 6, straight.path().string(), kWithBank);
  run_to(2, 3, folder.path().string());
  const Curve rest = train_on(1, 3, folder.path().string(), kWithBank);
  for (size_t i = 0; i < rest.losses.size(); ++i)
    EXPECT_NEAR(rest.losses[i], all.losses[i + 3], 1e-4 * all.losses[i + 3]) << "step " << i + 3;
}

TEST(Bank, RefusesACheckpointWithAnother) {
  test::TemporaryFolder folder;
  write_tiny_data(folder.path().string() + "/data", 8, 10);
  run_to(1, 1, folder.path().string());
  std::vector<std::string> other{
      "--train.losses", "contrastive triplet*0.5", "--train.batch", "32", "--model.image_size", "64",
      "--model.bnneck"};
  EXPECT_THROW(train_on(1, 1, folder.path().string(), other), Error);  // none
  other.insert(other.end(), {"--bank.size", "76"});
  EXPECT_THROW(train_on(1, 1, folder.path().string(), other), Error);
}

}  // namespace
}  // namespace kindred
