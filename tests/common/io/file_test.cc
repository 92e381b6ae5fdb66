#include "common/io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "common/base/error.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

size_t entries_in(const TemporaryFolder& folder) {
  const std::filesystem::directory_iterator all(folder.path());
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// While it lives, files cannot grow beyond so many bytes: a disk that runs full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int) = nullptr;
};

TEST(ReadFile, ReadsEveryByte) {
  const TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += static_cast<char>(i * 7);
  std::ofstream(folder / "a", std::ios::binary) << content;
  EXPECT_EQ(read_file(folder / "a"), content);
  std::ofstream(folder / "empty");
  EXPECT_EQ(read_file(folder / "empty"), "");
}

TEST(ReadFile, ReadsPipes) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::string content(200'000, 'x');
  std::thread writer([&] { std::ofstream(folder / "pipe") << content; });
  EXPECT_EQ(read_file(folder / "pipe"), content);
  writer.join();
}

TEST(ReadFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a") << "12345";
  EXPECT_THAT([&] { read_file(folder / "none"); },
              ThrowsMessage<Error>(folder / "none" + ": open failed: No such file or directory"));
  EXPECT_THAT([&] { read_file(folder.path().string()); },
              ThrowsMessage<Error>(HasSubstr("is a directory, expected a file")));
  EXPECT_THAT([&] { read_file(folder / "a", 4); },
              ThrowsMessage<Error>(folder / "a" + ": 5 B or more, expected at most 4 B"));
  EXPECT_EQ(read_file(folder / "a", 5), "12345");
  EXPECT_THAT([] { read_file("/dev/zero", 1000); },
              ThrowsMessage<Error>(HasSubstr("expected at most 1000 B")));
}

TEST(MappedFile, ShowsTheContent) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a") << "content";
  std::ofstream(folder / "empty");
  EXPECT_EQ(MappedFile(folder / "a").bytes(), "content");
  EXPECT_EQ(MappedFile(folder / "empty").bytes(), "");
}

TEST(MappedFile, RefusesWhatCannotBeMapped) {
  const TemporaryFolder folder;
  EXPECT_THROW(MappedFile(folder / "none"), Error);
  EXPECT_THAT([&] { MappedFile(folder.path().string()); }, ThrowsMessage<Error>(HasSubstr("is a directory")));
  EXPECT_THAT([] { MappedFile("/dev/null"); }, ThrowsMessage<Error>(HasSubstr("is not a regular file")));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("new ");
    file.write("content");
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    file.commit();
  }
  EXPECT_EQ(read_file(folder / "a"), "new content");
  EXPECT_EQ(entries_in(folder), 1u);
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  AtomicFile(folder / "a").write("new");
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(entries_in(folder), 1u);
}

TEST(AtomicFile, KeepsTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  {
    const FullDisk full(10'000);
    EXPECT_THAT([&] { write_file(folder / "a", std::string(50'000, 'x')); },
                ThrowsMessage<Error>(folder / "a" + ": write failed: File too large"));
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(entries_in(folder), 1u);
}

TEST(AtomicFile, RefusesToReplaceWhatIsNotAFile) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { AtomicFile(folder.path().string()); }, ThrowsMessage<Error>(HasSubstr("is a directory")));
  EXPECT_THAT([] { AtomicFile("/dev/null"); }, ThrowsMessage<Error>(HasSubstr("is not a regular file")));
  EXPECT_THAT([&] { AtomicFile(folder / "none/a"); },
              ThrowsMessage<Error>(HasSubstr("No such file or directory")));
}

TEST(AtomicFile, GetsByTheLeavingsOfAKilledProcess) {
  const TemporaryFolder folder;
  for (int i = 0; i < 64; ++i) std::ofstream(folder / concat("a.tmp-", ::getpid(), "-", i));
  for (int i = 0; i < 3; ++i) write_file(folder / "a", concat(i));
  EXPECT_EQ(read_file(folder / "a"), "2");
}

TEST(AtomicFile, HasTheUsualPermissions) {
  const TemporaryFolder folder;
  const mode_t mask = ::umask(022);
  write_file(folder / "a", "x");
  ::umask(mask);
  struct stat info {};
  ASSERT_EQ(::stat((folder / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST(AtomicFile, WritesBesideItselfFromSeveralThreads) {
  const TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back(
        [&, i] { write_file(folder / "a", std::string(10'000, static_cast<char>('a' + i))); });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string content = read_file(folder / "a");
  EXPECT_EQ(content, std::string(10'000, content[0]));
  EXPECT_EQ(entries_in(folder), 1u);
}

TEST(SyncFolder, RefusesWhatIsNotAFolder) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a");
  EXPECT_NO_THROW(sync_folder(folder.path().string()));
  EXPECT_THROW(sync_folder(folder / "a"), Error);
  EXPECT_THROW(sync_folder(folder / "none"), Error);
}

}  // namespace
}  // namespace kindred
