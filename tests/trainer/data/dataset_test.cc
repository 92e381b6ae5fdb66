#include "trainer/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"
#include "tests/trainer/data/data_folder.h"

namespace kindred {
namespace {

using ::testing::ElementsAre;

std::string error_of(const std::string& path) {
  try {
    load_dataset(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Dataset, FoldersAreClassesInSortedOrder) {
  DataFolder folder;
  for (const char* name : {"pear/2.JPG", "pear/1.webp", "apple/deep/x.png", "apple/notes.txt",
                           "empty/readme.md", ".hidden/1.png", "apple/.thumbs/1.png", "apple/.x.png"}) {
    folder.write(name, "x");
  }
  const Dataset dataset = load_dataset(folder.path());
  EXPECT_THAT(dataset.class_names, ElementsAre("apple", "pear"));
  ASSERT_EQ(dataset.items.size(), 3u);
  EXPECT_EQ(dataset.items[0].path, folder.path() + "/apple/deep/x.png");
  EXPECT_EQ(dataset.items[1].path, folder.path() + "/pear/1.webp");
  EXPECT_EQ(dataset.items[2].path, folder.path() + "/pear/2.JPG");
  EXPECT_EQ(dataset.items[0].label, 0);
  EXPECT_EQ(dataset.items[2].label, 1);
}

TEST(Dataset, ListsKeepTheirOrderAndSortTheirClasses) {
  DataFolder folder;
  const std::string list =
      folder.write("list.tsv", "# a comment\nb/2.png\tzebra\r\n\n/absolute/1.png\tgreat ape\nb/3.png\tzebra");
  const Dataset dataset = load_dataset(list);
  EXPECT_THAT(dataset.class_names, ElementsAre("great ape", "zebra"));
  ASSERT_EQ(dataset.items.size(), 3u);
  EXPECT_EQ(dataset.items[0].path, folder.path() + "/b/2.png");
  EXPECT_EQ(dataset.items[0].label, 1);
  EXPECT_EQ(dataset.items[1].path, "/absolute/1.png");
  EXPECT_EQ(dataset.items[1].label, 0);
}

TEST(Dataset, NamesTheBadLineOfAList) {
  DataFolder folder;
  const auto error_of_list = [&](std::string_view content) {
    return error_of(folder.write("list.tsv", content));
  };
  const std::string list = folder.path() + "/list.tsv";
  EXPECT_EQ(error_of_list("a.png\tx\nb.png x\n"), list + ":2: no tab in the line; expected path<TAB>label");
  EXPECT_EQ(error_of_list("\n\na.png\tx\ty\n"), list + ":3: expected one path, one tab and one label");
  EXPECT_EQ(error_of_list("a.png\t\n"), list + ":1: expected one path, one tab and one label");
  EXPECT_EQ(error_of_list("\tx\n"), list + ":1: expected one path, one tab and one label");
  EXPECT_EQ(error_of_list("# nothing\n"), list + ": the list is empty; expected lines of path<TAB>label");
}

TEST(Dataset, RefusesWhatHoldsNoPictures) {
  DataFolder folder;
  EXPECT_THAT(error_of(folder.path()), ::testing::HasSubstr("no pictures found"));
  EXPECT_THAT(error_of(folder.path() + "/absent"), ::testing::HasSubstr("/absent"));
}

}  // namespace
}  // namespace kindred
