// Batch norm over ranks: two ranks with unequal shares of a batch compute what one rank computes with all of
// it.
#include <gtest/gtest.h>

#include <vector>

#include "common/base/philox.h"
#include "common/ops/batch_norm.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred {
namespace {

constexpr int64_t kChannels = 19;

struct Result {
  std::vector<float> y, dx, dgamma, dbeta, mean, variance;
};

std::vector<float> values(const Tensor& tensor) { return {tensor.f32(), tensor.f32() + tensor.elements()}; }

/// Forward and backward of rows [begin, end) of the batch that `seed` 1 and 2 draw.
Result run(Communicator& communicator, int64_t begin, int64_t end) {
  const auto stream = make_stream({});
  BatchNorm op;
  op.epilogue.activation = Activation::relu;
  const Shape shape{end - begin, 1, 3, kChannels}, channels{kChannels};
  const auto kernel =
      kernel_registry()
          .get("cpu/batch_norm")
          .make({op, {shape}, shape, {channels, channels, channels, channels}, true, *stream, communicator});
  const auto batch = [&](uint64_t seed) {
    Random random(seed, {});
    for (int64_t i = 0; i < begin * 3 * kChannels; ++i) random.uniform();
    const Tensor tensor(shape);
    for (int64_t i = 0; i < tensor.elements(); ++i)
      tensor.f32()[i] = static_cast<float>(random.uniform(-1, 3));
    return tensor;
  };
  const auto filled = [&](float value) {
    const Tensor tensor(channels);
    std::fill_n(tensor.f32(), kChannels, value);
    return tensor;
  };
  const std::vector<Tensor> inputs{batch(1)}, parameters{filled(1.5f), filled(0.2f), filled(0), filled(1)};
  const std::vector<Tensor> input_gradients{Tensor(shape)}, parameter_gradients{filled(0), filled(0), {}, {}};
  const std::vector<uint8_t> accumulate{0};
  Io io;
  io.inputs = inputs;
  io.parameters = parameters;
  io.output = Tensor(shape);
  io.state = Tensor({kernel->state_bytes()}, DType::u8);
  io.scratch = Tensor({kernel->scratch_bytes()}, DType::u8);
  kernel->forward(*stream, io);
  kernel->backward(*stream, io, {batch(2), input_gradients, accumulate, parameter_gradients});
  return {values(io.output),
          values(input_gradients[0]),
          values(parameter_gradients[0]),
          values(parameter_gradients[1]),
          values(parameters[2]),
          values(parameters[3])};
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5) << "element " << i;
}

std::vector<float> joined(std::vector<float> first, const std::vector<float>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::vector<float> sum(std::vector<float> first, const std::vector<float>& second) {
  for (size_t i = 0; i < first.size(); ++i) first[i] += second[i];
  return first;
}

class BatchNormRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    one_ = run(*make_self_communicator(), 0, 8);
    run_thread_ranks(2, [this](Communicator& communicator) {
      const bool first = communicator.rank() == 0;
      ranks_[communicator.rank()] = run(communicator, first ? 0 : 5, first ? 5 : 8);
    });
  }
  Result one_, ranks_[2];
};

TEST_F(BatchNormRanks, NormaliseByTheWholeBatch) { expect_near(joined(ranks_[0].y, ranks_[1].y), one_.y); }

TEST_F(BatchNormRanks, PropagateTheWholeBatchsGradient) {
  expect_near(joined(ranks_[0].dx, ranks_[1].dx), one_.dx);
}

TEST_F(BatchNormRanks, KeepParameterGradientsAsSharesOfTheSum) {
  expect_near(sum(ranks_[0].dgamma, ranks_[1].dgamma), one_.dgamma);
  expect_near(sum(ranks_[0].dbeta, ranks_[1].dbeta), one_.dbeta);
}

TEST_F(BatchNormRanks, HaveTheSameRunningStatisticsToTheBit) {
  EXPECT_EQ(ranks_[0].mean, ranks_[1].mean);
  EXPECT_EQ(ranks_[0].variance, ranks_[1].variance);
  expect_near(ranks_[0].mean, one_.mean);
  expect_near(ranks_[0].variance, one_.variance);
}

}  // namespace
}  // namespace kindred
