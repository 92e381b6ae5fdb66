// MPI ranks: each test starts its own program again under mpirun and looks at the exit code.
#include "trainer/dist/mpi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>  // setenv
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>

#include "tests/trainer/dist/collectives_check.h"

namespace kindred::test {
namespace {

constexpr const char* kInside = "KINDRED_TEST_INSIDE_MPI";

bool inside() { return ::getenv(kInside) != nullptr; }

struct Finished {
  int code;
  std::string output;
};

// Runs the current test once more behind `launcher`.
Finished run_again(const std::string& launcher) {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  // Sanitizers see locks taken in two orders and memory left behind inside Open MPI itself.
  const std::string environment =
      concat(kInside, "=1 OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ",
             "TSAN_OPTIONS=detect_deadlocks=0 ASAN_OPTIONS=detect_leaks=0 ");
  const std::string command = concat(environment, launcher, " '", self,
                                     "' --gtest_filter=", test.test_suite_name(), ".", test.name(), " 2>&1");
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  Finished finished{};
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) finished.output += static_cast<char>(c);
  const int status = ::pclose(pipe);
  finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

TEST(MakeCommunicator, IsAWorldOfOneWithoutALauncher) {
  const std::unique_ptr<Communicator> communicator = make_communicator();
  EXPECT_EQ(communicator->size(), 1);
  EXPECT_EQ(local_rank().size, 1);
  check_collectives(*make_stream({}), *communicator, 5);
}

TEST(MakeCommunicator, RefusesProcessesThatCannotSeeEachOther) {
  if (inside()) {
    try {
      make_communicator();
      FAIL() << "a world of one passed for one of four";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("4 processes were started together, but "));
    }
    return;
  }
  const Finished finished = run_again("SLURM_STEP_NUM_TASKS=4");
  EXPECT_EQ(finished.code, 0) << finished.output;
}

#ifdef KINDRED_HAVE_MPI

Finished run_on_ranks(int ranks) {
  return run_again(concat("mpirun --oversubscribe --bind-to none -np ", ranks));
}

TEST(MpiRanks, AgreeWithPlainLoops) {
  if (inside()) {
    const std::unique_ptr<Communicator> communicator = make_communicator();
    const std::unique_ptr<Stream> stream = make_stream({});
    EXPECT_EQ(communicator->size(), 3);
    EXPECT_EQ(local_rank().rank, communicator->rank());
    EXPECT_EQ(local_rank().size, 3);
    // The last is more than one segment of an all_reduce.
    for (const int64_t n : {0, 1, 2, 17, 1001, (1 << 20) + 5}) check_collectives(*stream, *communicator, n);
    return;
  }
  const Finished finished = run_on_ranks(3);
  EXPECT_EQ(finished.code, 0) << finished.output;
}

TEST(MpiRanks, EndTogetherWhenOneAborts) {
  if (inside()) {
    const std::unique_ptr<Communicator> communicator = make_communicator();
    if (communicator->rank() == 1) abort_all(42);
    communicator->barrier();  // nobody comes
    FAIL() << "the barrier opened";
  }
  const Finished finished = run_on_ranks(2);
  EXPECT_EQ(finished.code, 42) << finished.output;
}

TEST(MpiRanks, SayWhenCallsDiffer) {
  if (inside()) {
    const std::unique_ptr<Communicator> communicator = make_communicator();
    const std::unique_ptr<Stream> stream = make_stream({});
    const int64_t n = 4 + communicator->rank();
    EXPECT_THROW(communicator->all_gather(*stream, Tensor(Shape{n}), Tensor(Shape{2 * n})), Error);
    return;
  }
  const Finished finished = run_on_ranks(2);
  EXPECT_EQ(finished.code, 0) << finished.output;
}

#endif

}  // namespace
}  // namespace kindred::test
