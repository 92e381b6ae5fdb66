#include "trainer/dist/reducer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/dist/collectives_check.h"
#include "trainer/dist/agreement.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred::test {
namespace {

/// A world of one that notes the sizes of its sums.
class Notes : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce(Stream&, const Tensor& values, Reduction) override { sums.push_back(values.elements()); }
  void all_gather(Stream&, const Tensor&, const Tensor&) override {}
  void reduce_scatter(Stream&, const Tensor&, const Tensor&) override {}
  void broadcast(Stream&, const Tensor&, int) override {}
  void barrier() override {}

  std::vector<int64_t> sums;
};

void declare(ParameterSet& parameters, Stream& stream, int64_t elements) {
  ParamInfo info;
  info.name = "weight";
  info.file_shape = Shape{elements};
  parameters.add(info);
  parameters.freeze(stream);
}

TEST(GradientReducer, SumsFullBucketsEarlyAndTheRestAtTheEnd) {
  const std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  declare(parameters, *stream, 112);
  Notes notes;
  GradientReducer reducer(parameters, notes, *stream, 32 * 4);
  for (int step = 0; step < 2; ++step) {
    notes.sums.clear();
    reducer.begin();
    reducer.ready(31);
    EXPECT_EQ(notes.sums, std::vector<int64_t>{});
    reducer.ready(40);
    EXPECT_EQ(notes.sums, std::vector<int64_t>{32});
    reducer.ready(41);
    reducer.ready(100);
    EXPECT_EQ(notes.sums, (std::vector<int64_t>{32, 32, 32}));
    reducer.finish();
    EXPECT_EQ(notes.sums, (std::vector<int64_t>{32, 32, 32, 16}));
  }
}

TEST(GradientReducer, EqualsOneSumWhateverTheBuckets) {
  for (const int64_t bucket_bytes : {4, 52, 4096, 1 << 20}) {
    run_thread_ranks(3, [&](Communicator& communicator) {
      const std::unique_ptr<Stream> stream = make_stream({});
      ParameterSet parameters;
      declare(parameters, *stream, 1000);
      for (int64_t i = 0; i < 1000; ++i) parameters.gradients().f32()[i] = value_of(communicator.rank(), i);
      GradientReducer reducer(parameters, communicator, *stream, bucket_bytes);
      reducer.begin();
      for (const int64_t final_elements : {100, 777, 1000}) reducer.ready(final_elements);
      reducer.finish();
      for (int64_t i = 0; i < 1000; ++i) {
        ASSERT_EQ(parameters.gradients().f32()[i], sum_in_rank_order(3, i)) << bucket_bytes << " " << i;
      }
    });
  }
}

TEST(RequireSameOnAllRanks, NamesTheRanksThatDiffer) {
  const auto check = [](const std::string& odd_one) {
    run_thread_ranks(4, [&](Communicator& communicator) {
      const bool odd = communicator.rank() == 1 || communicator.rank() == 3;
      require_same_on_all_ranks(*make_stream({}), communicator, "the options", odd ? odd_one : "lr=1");
    });
  };
  EXPECT_NO_THROW(check("lr=1"));
  try {
    check("lr=2");
    FAIL() << "a difference passed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("the options of rank 0 and of rank 1, 3 differ"));
  }
}

}  // namespace
}  // namespace kindred::test
