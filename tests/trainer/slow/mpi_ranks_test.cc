// Whole runs under mpirun: two processes that mine in each other's images, stopped and started again.
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/hash.h"
#include "common/base/json.h"
#include "common/io/file.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

class MpiRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMP_NUM_THREADS"})
      setenv(name, "1", 1);
    write_tiny_data(folder_ / "data", 8, 10);
  }

  // Runs kindred-train over `ranks` processes into the folder `run`; the exit code.
  int train(int ranks, const std::string& run, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"mpirun", "--oversubscribe", "--bind-to", "none", "-np", concat(ranks)};
    std::vector<std::string> tiny =
        tiny_arguments(folder_.path().string(), {"--train.run", folder_ / run, "--train.epochs", "4",
                                                 "--train.lr", "0.0001", "--train.clip_norm", "0.3"});
    tiny[0] = std::string(KINDRED_BINARY_DIR) + "/bin/kindred-train";
    words.insert(words.end(), tiny.begin(), tiny.end());
    words.insert(words.end(), more.begin(), more.end());
    return test::wait_for(test::start(words, folder_ / (run + ".log")));
  }
  std::string log(const std::string& run) const { return read_file(folder_ / (run + ".log")); }
  std::string state(const std::string& run) const {
    return sha256_file(folder_ / (run + "/checkpoints/step-20/state.safetensors"));
  }
  std::vector<double> losses(const std::string& run) const {
    std::vector<double> out;
    for (const std::string& line : split(read_file(folder_ / (run + "/metrics.jsonl")), '\n')) {
      if (line.empty()) continue;
      if (const Json record = parse_json(line, run); record.contains("loss")) out.push_back(record["loss"]);
    }
    return out;
  }

  test::TemporaryFolder folder_;
};

TEST_F(MpiRanks, StoppedAndStartedAgainEndWithTheSameBits) {
  ASSERT_EQ(train(2, "whole"), 0) << log("whole");
  ASSERT_EQ(train(2, "halved", {"--train.stop_after", "7"}), 0) << log("halved");
  ASSERT_EQ(train(2, "halved"), 0) << log("halved");
  EXPECT_NE(log("halved").find("resuming after step 7"), std::string::npos) << log("halved");
  EXPECT_EQ(state("halved"), state("whole"));
}

TEST_F(MpiRanks, TrainAsOneProcessDoes) {
  ASSERT_EQ(train(1, "one"), 0) << log("one");
  ASSERT_EQ(train(2, "two"), 0) << log("two");
  const std::vector<double> one = losses("one"), two = losses("two");
  ASSERT_EQ(one.size(), 20u);
  ASSERT_EQ(two.size(), one.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 1e-3 * one[i]) << "step " << i + 1;
}

TEST_F(MpiRanks, ADivergingRunStopsAndNamesStepLayerAndSamples) {
  EXPECT_EQ(train(2, "diverged", {"--train.lr", "1e30", "--train.clip_norm", "0"}), 76);
  const std::string text = log("diverged");
  for (const char* part : {"step ", "first layer with a value that is not finite: ", "samples of rank 0: ",
                           "samples of rank 1: "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
  }
  EXPECT_EQ(text.find("none on this rank"), std::string::npos) << text;
}

TEST_F(MpiRanks, AWrongOptionIsToldOnceAndEndsAllRanks) {
  EXPECT_EQ(train(2, "wrong", {"--train.losses", "tripplet"}), 2);
  const std::string text = log("wrong");
  const size_t first = text.find("did you mean 'triplet'");
  EXPECT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("did you mean", first + 1), std::string::npos) << text;
}

}  // namespace
}  // namespace kindred
