#include "trainer/dist/thread_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/trainer/dist/collectives_check.h"

namespace kindred::test {
namespace {

using testing::HasSubstr;

std::string error_of(int ranks, const std::function<void(Stream&, Communicator&)>& body) {
  try {
    run_thread_ranks(ranks, [&](Communicator& communicator) { body(*make_stream({}), communicator); });
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(ThreadRanks, AgreeWithPlainLoops) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    run_thread_ranks(ranks, [](Communicator& communicator) {
      const std::unique_ptr<Stream> stream = make_stream({});
      for (const int64_t n : {0, 1, 2, 3, 17, 1001}) check_collectives(*stream, communicator, n);
    });
  }
}

TEST(ThreadRanks, NumberThemselves) {
  std::atomic<int> seen = 0;
  run_thread_ranks(3, [&](Communicator& communicator) {
    EXPECT_EQ(communicator.size(), 3);
    seen += 1 << communicator.rank();
  });
  EXPECT_EQ(seen, 7);
}

TEST(ThreadRanks, ThrowTheFirstErrorAndWakeTheOthers) {
  const std::string error = error_of(3, [](Stream& stream, Communicator& communicator) {
    if (communicator.rank() == 1) fail("rank 1 has no data");
    communicator.all_reduce(stream, Tensor(Shape{4}));
  });
  EXPECT_EQ(error, "rank 1 has no data");
}

TEST(ThreadRanks, TellWhoWaitsForARankThatReturned) {
  const std::string error = error_of(2, [](Stream&, Communicator& communicator) {
    if (communicator.rank() == 0) communicator.barrier();
  });
  EXPECT_THAT(error, HasSubstr("1 of 2 ranks returned while others wait"));
}

TEST(ThreadRanks, RefuseDifferentCalls) {
  const std::string sizes = error_of(2, [](Stream& stream, Communicator& communicator) {
    communicator.all_reduce(stream, Tensor(Shape{4 + communicator.rank()}));
  });
  EXPECT_THAT(sizes, HasSubstr("ranks make different calls"));
  EXPECT_THAT(sizes, HasSubstr("all_reduce of 5 f32"));
  EXPECT_THAT(error_of(2,
                       [](Stream& stream, Communicator& communicator) {
                         communicator.broadcast(stream, Tensor(Shape{4}), communicator.rank());
                       }),
              HasSubstr("ranks make different calls"));
}

}  // namespace
}  // namespace kindred::test
