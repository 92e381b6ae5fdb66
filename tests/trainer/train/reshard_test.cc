// A run with a sharded classifier goes on with another number of ranks: 1, 2, 4, 2 end where 1 does.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "common/base/parallel.h"
#include "common/io/safetensors.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred {
namespace {

class Reshard : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { write_tiny_data(folder_ / "data", 7, 8); }

  // Trains `run` on `ranks` ranks up to step `last` in all.
  void train(const std::string& run, int ranks, int last, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = tiny_arguments(
        folder_.path().string(),
        {"--train.run", folder_ / run, "--train.losses", "triplet arcface*0.5", "--arcface.sharded",
         "--arcface.sample_rate", "0.5", "--train.batch", "16", "--train.lr", "0.001", "--train.clip_norm",
         "0.3", "--train.optimizer", GetParam(), "--train.stop_after", concat(last)});
    arguments.insert(arguments.end(), more.begin(), more.end());
    run_thread_ranks(ranks, [&](Communicator& communicator) {
      set_thread_count(1);
      const Options options = parse_train_options(arguments);
      const std::unique_ptr<Stream> stream = make_stream({});
      Trainer(read_train_config(options), options, *stream, communicator).run();
    });
  }
  SafetensorsFile state(const std::string& run, int step) const {
    return SafetensorsFile::open(folder_ / concat(run, "/checkpoints/step-", step, "/state.safetensors"));
  }

  test::TemporaryFolder folder_;
};

std::vector<float> values_of(const TensorEntry& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

TEST_P(Reshard, EndsWhereOneRankEnds) {
  train("one", 1, 8);
  const int ranks[] = {1, 2, 4, 2};
  for (int i = 0; i < 4; ++i) train("many", ranks[i], 2 * (i + 1));
  const SafetensorsFile one = state("one", 8), many = state("many", 8);
  ASSERT_EQ(one.tensors().size(), many.tensors().size());
  int sharded = 0;
  for (const TensorEntry& expected : one.tensors()) {
    SCOPED_TRACE(expected.name);
    const TensorEntry* found = many.find(expected.name);
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(found->shape, expected.shape);
    sharded += expected.name.find("arcface.centres") != std::string::npos;
    const std::vector<float> a = values_of(*found), b = values_of(expected);
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += std::pow(static_cast<double>(a[i] - b[i]), 2);
      size += std::pow(static_cast<double>(b[i]), 2);
    }
    EXPECT_LT(std::sqrt(difference), 1e-3 * std::sqrt(size));
    EXPECT_GT(size, 0);
  }
  EXPECT_EQ(sharded, GetParam() == "sgd" ? 2 : 3);  // the centres, and each slot of theirs
}

TEST_P(Reshard, ResumedOnAsManyRanksEndsWithTheSameBits) {
  train("whole", 2, 4);
  train("halved", 2, 2);
  train("halved", 2, 4);
  const SafetensorsFile whole = state("whole", 4), halved = state("halved", 4);
  for (const TensorEntry& expected : whole.tensors())
    EXPECT_EQ(values_of(*halved.find(expected.name)), values_of(expected)) << expected.name;
}

TEST_P(Reshard, RefusesACheckpointOfAReplicatedClassifier) {
  train("plain", 1, 2, {"--arcface.sharded=false", "--arcface.sample_rate=1"});
  EXPECT_THROW(train("plain", 1, 4), Error);
}

INSTANTIATE_TEST_SUITE_P(With, Reshard, ::testing::Values("sgd", "adamw"));

}  // namespace
}  // namespace kindred
