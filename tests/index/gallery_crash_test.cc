// A process that is killed while it adds: what it acknowledged must be there afterwards, and nothing by
// halves.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "tests/index/gallery_fixture.h"

namespace kindred {
namespace {

constexpr int kDim = 16, kAtOnce = 3, kPipe = 9;
constexpr const char* kFolderVariable = "KINDRED_TEST_CRASH_GALLERY";

std::string group_id(int group, int i) { return concat("group", group, "/", i); }

// The child's part: this very program, started again with the variable set (a fork alone would share OpenMP's
// and SQLite's state). Every group of items is acknowledged by one byte on a pipe once `add` has
// returned.
[[noreturn]] void add_until_killed(const std::string& folder) {
  Gallery gallery = Gallery::open(folder, "");
  for (int group = static_cast<int>(gallery.info().items) / kAtOnce;; ++group) {
    std::vector<GalleryItem> items;
    for (int i = 0; i < kAtOnce; ++i) items.push_back(make_item(group_id(group, i)));
    gallery.add(items, unit_rows(kAtOnce, kDim, static_cast<uint64_t>(group)));
    if (group % 5 == 4) gallery.save_index();
    if (::write(kPipe, "+", 1) != 1) ::_exit(1);
  }
}

class ChildEnvironment
    : public testing::Environment {  // set up before any test, after every registration line
  void SetUp() override {
    if (const char* folder = std::getenv(kFolderVariable)) add_until_killed(folder);
  }
};
[[maybe_unused]] const testing::Environment* const child =
    testing::AddGlobalTestEnvironment(new ChildEnvironment);

/// Starts the child, kills it after `acknowledgements` groups, and returns how many it had acknowledged.
int run_and_kill(const std::string& folder, int acknowledgements) {
  int ends[2];
  if (::pipe(ends) != 0) fail_errno("pipe", "pipe");
  const std::string variable = concat(kFolderVariable, "=", folder);
  const pid_t process = ::fork();
  if (process == 0) {
    ::dup2(ends[1], kPipe);
    ::close(ends[0]);
    ::close(ends[1]);
    const char* const arguments[] = {"index_test", nullptr};
    const char* const environment[] = {variable.c_str(), "OMP_NUM_THREADS=1", nullptr};
    ::execve("/proc/self/exe", const_cast<char* const*>(arguments), const_cast<char* const*>(environment));
    ::_exit(127);
  }
  ::close(ends[1]);
  int acknowledged = 0;
  for (char byte; acknowledged < acknowledgements && ::read(ends[0], &byte, 1) == 1;) ++acknowledged;
  ::kill(process, SIGKILL);
  for (char byte; ::read(ends[0], &byte, 1) == 1;) ++acknowledged;  // said between our last look and its end
  ::close(ends[0]);
  int status = 0;
  ::waitpid(process, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, status " << status;
  return acknowledged;
}

class GalleryCrash : public testing::TestWithParam<std::string> {};

TEST_P(GalleryCrash, KeepsWhatWasAcknowledgedAndNothingByHalves) {
  const TemporaryFolder folder;
  Gallery::create(folder / "g", make_info(kDim, GetParam()));
  int groups = 0;
  for (int round = 0; round < 8; ++round) {
    const int acknowledged = run_and_kill(folder / "g", 1 + round * 7 % 11);
    Gallery gallery = Gallery::open(folder / "g", "3f9a12");
    const int64_t items = gallery.info().items;
    ASSERT_EQ(items % kAtOnce, 0) << "a group was added by halves";
    ASSERT_GE(items / kAtOnce, groups + acknowledged) << "an acknowledged group is lost";
    ASSERT_LE(items / kAtOnce, groups + acknowledged + 1) << "there is more than was ever added";
    groups = static_cast<int>(items / kAtOnce);
    for (int group = 0; group < groups; ++group) {
      const std::vector<float> vectors = unit_rows(kAtOnce, kDim, static_cast<uint64_t>(group));
      const auto hits = gallery.search(vectors, 1);
      for (int i = 0; i < kAtOnce; ++i)
        ASSERT_EQ(hits[static_cast<size_t>(i)][0].item.id, group_id(group, i));
    }
    gallery.save_index();
    gallery.verify();
  }
}

INSTANTIATE_TEST_SUITE_P(Type, GalleryCrash, testing::Values("exact"),
                         [](const auto& type) { return type.param; });
#if defined(KINDRED_HAVE_FAISS)
INSTANTIATE_TEST_SUITE_P(FaissType, GalleryCrash, testing::Values("hnsw"),
                         [](const auto& type) { return type.param; });
#endif

}  // namespace
}  // namespace kindred
