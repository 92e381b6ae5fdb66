#include "common/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace kindred {
namespace {

TEST(ParallelFor, CallsEveryIndexOnce) {
  for (const int64_t n : {0, 1, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
    parallel_for(n, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1) << n;
  }
}

TEST(ParallelRanges, GivesNoRangeUnderTheGrainWhereThereIsEnough) {
  std::atomic<int64_t> covered = 0;
  parallel_ranges(100, 60, [&](int64_t begin, int64_t end) {
    EXPECT_GE(end - begin, 60);
    covered += end - begin;
  });
  EXPECT_EQ(covered, 100);
}

TEST(ParallelFor, CarriesOneExceptionOut) {
  EXPECT_THROW(parallel_for(100, [](int64_t) { throw std::runtime_error("from inside"); }),
               std::runtime_error);
}

TEST(ParallelFor, RunsNestedCallsToo) {
  std::atomic<int> calls = 0;
  parallel_for(8, [&](int64_t) { parallel_for(8, [&](int64_t) { ++calls; }); });
  EXPECT_EQ(calls, 64);
}

TEST(FairThreadCount, DividesTheCoresAmongTheProcesses) {
  const char* const set = std::getenv("OMP_NUM_THREADS");
  const std::string before = set == nullptr ? "" : set;
  unsetenv("OMP_NUM_THREADS");
  EXPECT_GE(fair_thread_count(1), fair_thread_count(2));
  EXPECT_GE(fair_thread_count(1 << 20), 1);
  setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(fair_thread_count(4), thread_count());
  set == nullptr ? unsetenv("OMP_NUM_THREADS") : setenv("OMP_NUM_THREADS", before.c_str(), 1);
}

}  // namespace
}  // namespace kindred
