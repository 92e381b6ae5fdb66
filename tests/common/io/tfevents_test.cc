#include "common/io/tfevents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "common/base/error.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::string content(const TemporaryFolder& folder) {
  return read_file(folder / "events.out.tfevents.kindred");
}

std::vector<int64_t> steps(const TemporaryFolder& folder) {
  std::vector<int64_t> out;
  for (const ScalarEvent& event : parse_events(content(folder))) out.push_back(event.step);
  return out;
}

void write_steps(const TemporaryFolder& folder, int64_t first, int64_t last, int64_t keep = INT64_MAX) {
  EventFile file(folder.path().string(), keep);
  for (int64_t step = first; step <= last; ++step)
    file.write(step, std::vector<Scalar>{{"loss", static_cast<float>(step)}});
}

using Steps = std::vector<int64_t>;

// The first record is the same in every event file but for the time; written out by hand from the format.
TEST(EventFile, BeginsWithTheVersionRecord) {
  const TemporaryFolder folder;
  EventFile(folder.path().string());
  const std::string bytes = content(folder);
  ASSERT_EQ(bytes.size(), 8u + 4 + 26 + 4);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x1a\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes[12], '\x09');                              // field 1, 64 bits: wall time
  EXPECT_EQ(bytes.substr(21, 2), std::string("\x10\0", 2));  // field 2, number: step 0
  EXPECT_EQ(bytes.substr(23, 15),
            "\x1a\x0d"
            "brain.Event:2");  // field 3, text: version
}

TEST(EventFile, WritesAScalarAsTheFormatSays) {
  const TemporaryFolder folder;
  EventFile(folder.path().string()).write(300, std::vector<Scalar>{{"a", 1.5f}});
  const std::string record = content(folder).substr(42);
  // Event: wall time, step 300, summary { value { tag "a", simple_value 1.5 } }
  const std::string tail("\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01\x61\x15\x00\x00\xc0\x3f", 15);
  ASSERT_EQ(record.size(), 12 + 9 + tail.size() + 4);
  EXPECT_EQ(record.substr(21, tail.size()), tail);
}

TEST(EventFile, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  EventFile(folder.path().string())
      .write(7, std::vector<Scalar>{{"train/loss", 0.25f}, {"\xc3\xa9val", -1e30f}});
  const auto events = parse_events(content(folder));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].step, 7);
  EXPECT_GT(events[0].wall_time, 1.7e9);
  ASSERT_EQ(events[0].scalars.size(), 2u);
  EXPECT_EQ(events[0].scalars[1].tag, "\xc3\xa9val");
  EXPECT_EQ(events[0].scalars[1].value, -1e30f);
}

TEST(EventFile, GoesOnWhereItWasClosed) {
  const TemporaryFolder folder;
  write_steps(folder, 1, 3);
  write_steps(folder, 4, 5);
  EXPECT_EQ(steps(folder), (Steps{1, 2, 3, 4, 5}));
}

TEST(EventFile, DropsTheStepsThatAResumedRunWritesAgain) {
  const TemporaryFolder folder;
  write_steps(folder, 1, 9);
  write_steps(folder, 5, 6, 4);
  EXPECT_EQ(steps(folder), (Steps{1, 2, 3, 4, 5, 6}));
}

TEST(EventFile, CutsATornRecordOffWhereverItWasTorn) {
  const TemporaryFolder folder;
  write_steps(folder, 1, 2);
  const std::string two = content(folder);
  write_steps(folder, 3, 3);
  const std::string three = content(folder);
  for (size_t length = two.size(); length < three.size(); ++length) {
    write_file(folder / "events.out.tfevents.kindred", three.substr(0, length));
    write_steps(folder, 4, 4);
    EXPECT_EQ(steps(folder), (Steps{1, 2, 4})) << length;
  }
}

TEST(EventFile, BeginsAnewBehindATornFirstRecord) {
  const TemporaryFolder folder;
  write_file(folder / "events.out.tfevents.kindred", "\x1a");
  write_steps(folder, 1, 1);
  EXPECT_EQ(steps(folder), Steps{1});
}

TEST(EventFile, LeavesAFileThatIsSomethingElseAlone) {
  const TemporaryFolder folder;
  const std::string other(1000, 'x');
  write_file(folder / "events.out.tfevents.kindred", other);
  EXPECT_THAT([&] { EventFile(folder.path().string()); },
              ThrowsMessage<Error>(HasSubstr("is not a TensorBoard event file")));
  EXPECT_EQ(content(folder), other);
}

TEST(EventFile, NeedsAFolder) {
  const TemporaryFolder folder;
  EXPECT_THROW(EventFile(folder / "none"), Error);
}

TEST(ParseEvents, StopsAtTheFirstDamagedRecord) {
  const TemporaryFolder folder;
  write_steps(folder, 1, 3);
  const std::string whole = content(folder);
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_LT(parse_events(flipped).size(), 3u) << bit;
  }
}

}  // namespace
}  // namespace kindred
