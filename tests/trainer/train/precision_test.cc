// Training in bf16: it learns, goes on after a resume as if nothing had been, and only in bf16.
#include <gtest/gtest.h>

#include <numeric>

#include "common/base/parallel.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred {
namespace {

const std::vector<std::string> kBf16{"--train.precision", "bf16"};

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Runs to step `stop_after` as kindred-train would, resuming what is there.
void run_to(int stop_after, const std::string& folder) {
  std::vector<std::string> more = kBf16;
  more.insert(more.end(), {"--train.stop_after", concat(stop_after)});
  run_thread_ranks(1, [&](Communicator& communicator) {
    set_thread_count(1);  // as train_on does: sums over samples are taken by parts
    const Options options = parse_train_options(tiny_arguments(folder, more));
    const std::unique_ptr<Stream> stream = make_stream({});
    Trainer(read_train_config(options), options, *stream, communicator).run();
  });
}

class TrainInBf16 : public ::testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder() + "/data", 8, 10); }
  std::string folder() const { return folder_.path().string(); }

 private:
  test::TemporaryFolder folder_;
};

TEST_F(TrainInBf16, LearnsAsFp32Does) {
  constexpr int kSteps = 60;
  const std::vector<double> narrow = train_on(1, kSteps, folder(), kBf16).losses,
                            wide = train_on(1, kSteps, folder(), {}).losses;
  const auto last = [](const std::vector<double>& losses) { return mean(std::span(losses).last(10)); };
  EXPECT_NEAR(narrow[0], wide[0], 0.02 * wide[0]) << "the first step differs by rounding alone";
  EXPECT_NE(narrow[0], wide[0]);
  EXPECT_LT(last(narrow), 0.7 * mean(std::span(narrow).first(10)));
  EXPECT_NEAR(last(narrow), last(wide), 0.2 * last(wide));
  std::printf("loss %.3f -> %.3f in bf16, %.3f -> %.3f in fp32\n", narrow[0], last(narrow), wide[0],
              last(wide));
}

TEST_F(TrainInBf16, GoesOnToTheSameBitsAfterAResume) {
  const Curve whole = train_on(1, 6, folder(), kBf16);
  run_to(3, folder());
  const Curve rest = train_on(1, 3, folder(), kBf16);
  EXPECT_EQ(rest.losses, std::vector<double>(whole.losses.begin() + 3, whole.losses.end()));
  EXPECT_EQ(rest.values, whole.values);
  EXPECT_EQ(rest.buffers, whole.buffers);
}

TEST_F(TrainInBf16, RefusesACheckpointOfAnotherPrecision) {
  run_to(1, folder());
  try {
    train_on(1, 1, folder(), {});
    FAIL() << "went on";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("written with train.precision bf16; this run has fp32"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(TrainInBf16, AnUnknownPrecisionIsAWrongOption) {
  const Options options = parse_train_options(tiny_arguments(folder(), {"--train.precision", "fp16"}));
  EXPECT_THROW(read_train_config(options), UsageError);
}

}  // namespace
}  // namespace kindred
