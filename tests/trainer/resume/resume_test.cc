// kill -9 at any moment, start again, and the final weights are the same bits.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <functional>

#include "common/base/hash.h"
#include "common/io/file.h"
#include "common/models/model_file.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;
using test::start;
using test::wait_for;

class Resume : public ::testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path().string() + "/data", 8, 10); }

  std::vector<std::string> arguments(const std::string& run) {
    std::vector<std::string> out =
        tiny_arguments(folder_.path(), {"--train.run", folder_.path().string() + "/" + run, "--train.epochs",
                                        "6", "--train.checkpoint_every", "3"});
    out[0] = std::string(KINDRED_BINARY_DIR) + "/bin/kindred-train";
    return out;
  }
  std::string path(const std::string& name) const { return folder_.path().string() + "/" + name; }
  // The end of a run: the network's id, and the bits of weights, statistics and optimiser. (model.safetensors
  // also names the run's folder.)
  std::string final_state(const std::string& run) const {
    return read_model_info(path(run + "/model.safetensors")).model_id + " " +
           sha256_file(path(run + "/checkpoints/step-30/state.safetensors"));
  }
  std::string log_text(const std::string& run) const { return read_file(path(run + ".log")); }

  // Waits until `happened` holds, then sends the signal; false when the program ended before.
  bool signal_when(pid_t child, int signal, const std::function<bool()>& happened) {
    for (int i = 0; i < 60'000; ++i) {
      if (happened()) return kill(child, signal) == 0;
      int status = 0;
      if (waitpid(child, &status, WNOHANG) == child) return false;
      usleep(500);
    }
    return false;
  }

  test::TemporaryFolder folder_;
};

TEST_F(Resume, AfterKillAtThreeMomentsTheFinalWeightsAreTheSameBits) {
  ASSERT_EQ(wait_for(start(arguments("whole"), path("whole.log"))), 0) << log_text("whole");
  const std::string expected = final_state("whole");

  const std::string run = path("killed"), checkpoints = run + "/checkpoints";
  const std::vector<std::function<bool()>> moments{
      [&] { return fs::exists(checkpoints); },              // before the first step is done
      [&] { return fs::exists(checkpoints + "/step-6"); },  // just after a checkpoint
      [&] {                                                 // while one is being written
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(checkpoints, ignored)) {
          if (entry.path().filename().string().rfind(".writing-step-1", 0) == 0) return true;
        }
        return false;
      }};
  for (const auto& moment : moments) {
    const pid_t child = start(arguments("killed"), path("killed.log"));
    ASSERT_TRUE(signal_when(child, SIGKILL, moment)) << log_text("killed");
    EXPECT_EQ(wait_for(child), 128 + SIGKILL);
    EXPECT_FALSE(fs::exists(run + "/model.safetensors"));
  }
  ASSERT_EQ(wait_for(start(arguments("killed"), path("killed.log"))), 0) << log_text("killed");
  EXPECT_EQ(final_state("killed"), expected) << log_text("killed");
  EXPECT_NE(log_text("killed").find("resuming after step"), std::string::npos);

  // metrics.jsonl has every step once, in order.
  std::vector<int64_t> steps;
  for (const std::string& line : split(read_file(run + "/metrics.jsonl"), '\n')) {
    if (line.empty()) continue;
    const Json record = parse_json(line, "metrics.jsonl");
    if (record.contains("loss")) steps.push_back(json_get<int64_t>(record, "step", "metrics.jsonl"));
  }
  for (size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i], static_cast<int64_t>(i) + 1);
  EXPECT_FALSE(steps.empty());
}

TEST_F(Resume, TerminateFinishesTheStepAndExitsWith77) {
  ASSERT_EQ(wait_for(start(arguments("whole"), path("whole.log"))), 0) << log_text("whole");
  const pid_t child = start(arguments("asked"), path("asked.log"));
  ASSERT_TRUE(signal_when(child, SIGTERM, [&] { return fs::exists(path("asked/checkpoints/step-3")); }));
  EXPECT_EQ(wait_for(child), 77) << log_text("asked");
  ASSERT_EQ(wait_for(start(arguments("asked"), path("asked.log"))), 0) << log_text("asked");
  EXPECT_EQ(final_state("asked"), final_state("whole"));
}

TEST_F(Resume, ADamagedCheckpointIsPassedOver) {
  ASSERT_EQ(wait_for(start(arguments("whole"), path("whole.log"))), 0) << log_text("whole");
  const std::string expected = final_state("whole");
  fs::remove(path("whole/model.safetensors"));
  std::string newest;
  for (const auto& entry : fs::directory_iterator(path("whole/checkpoints")))
    newest = std::max(newest, entry.path().string());
  std::string state = read_file(newest + "/state.safetensors");
  state[state.size() / 2] ^= 1;
  write_file(newest + "/state.safetensors", state);
  ASSERT_EQ(wait_for(start(arguments("whole"), path("again.log"))), 0) << log_text("again");
  EXPECT_NE(log_text("again").find("damaged"), std::string::npos) << log_text("again");
  EXPECT_EQ(final_state("whole"), expected);
}

TEST_F(Resume, AnotherNetworkIsRefused) {
  ASSERT_EQ(wait_for(start(arguments("whole"), path("whole.log"))), 0) << log_text("whole");
  std::vector<std::string> other = arguments("whole");
  other.insert(other.end(), {"--model.embedding", "24"});
  EXPECT_EQ(wait_for(start(other, path("other.log"))), 1);
  EXPECT_NE(log_text("other").find("written for another network"), std::string::npos) << log_text("other");
}

}  // namespace
}  // namespace kindred
