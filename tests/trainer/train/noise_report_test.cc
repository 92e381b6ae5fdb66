// Planted mistakes are found: pictures put into other classes, and a class that is there twice.
#include "trainer/train/noise_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "common/base/philox.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

using testing::HasSubstr;

// Unit vectors around a direction per class; class `twin` has the direction of class 0.
EmbeddedSet scattered(int64_t classes, int64_t images, int64_t twin) {
  constexpr int kDim = 16;
  EmbeddedSet set;
  set.dim = kDim;
  for (int64_t c = 0; c < classes; ++c) {
    for (int64_t i = 0; i < images; ++i) {
      Random direction(1, {static_cast<uint64_t>(c == twin ? 0 : c), 0, 0});
      Random own(2, {static_cast<uint64_t>(c), static_cast<uint64_t>(i), 0});
      std::vector<double> row;
      double square = 0;
      for (int d = 0; d < kDim; ++d) {
        row.push_back(direction.normal() + 0.4 * own.normal());
        square += row.back() * row.back();
      }
      for (const double value : row) set.vectors.push_back(static_cast<float>(value / std::sqrt(square)));
      set.labels.push_back(c);
      set.ids.push_back(c * images + i);
    }
  }
  return set;
}

TEST(NoiseReport, FindsNothingInCleanData) {
  const NoiseReport report = find_noise(scattered(10, 6, -1), 10);
  EXPECT_EQ(report.pictures, 60);
  EXPECT_TRUE(report.labels.empty());
  EXPECT_TRUE(report.twins.empty());
  EXPECT_GT(report.usual_gap, 0.3);
}

TEST(NoiseReport, FindsPicturesInTheWrongClass) {
  EmbeddedSet set = scattered(10, 6, -1);
  for (const size_t moved : {3, 20, 41}) set.labels[moved] = (set.labels[moved] + 3) % 10;
  const NoiseReport report = find_noise(set, 10);
  std::set<int64_t> found;
  for (const SuspectLabel& suspect : report.labels) {
    found.insert(suspect.item);
    EXPECT_EQ(suspect.nearest, suspect.item / 6);  // where it came from
    EXPECT_GT(suspect.other, suspect.own);
  }
  EXPECT_EQ(found, (std::set<int64_t>{3, 20, 41}));
}

TEST(NoiseReport, FindsAClassThatIsThereTwice) {
  const NoiseReport report = find_noise(scattered(10, 6, 7), 10);
  ASSERT_EQ(report.twins.size(), 1u);
  EXPECT_EQ(report.twins[0].first, 0);
  EXPECT_EQ(report.twins[0].second, 7);
  EXPECT_TRUE(report.labels.empty());  // its pictures are not called mislabelled
}

TEST(NoiseReport, SaysNothingOfPicturesAloneInTheirClass) {
  EmbeddedSet set = scattered(6, 4, -1);
  set.vectors.resize(set.vectors.size() - 3 * 16);
  set.labels.resize(21), set.ids.resize(21);
  const NoiseReport report = find_noise(set, 6);
  EXPECT_EQ(report.alone, 1);
  EXPECT_TRUE(report.labels.empty());
}

TEST(NoiseReport, ToleratesOneClassAndOnePicture) {
  EXPECT_TRUE(find_noise(scattered(1, 5, -1), 1).labels.empty());
  EXPECT_EQ(find_noise(scattered(1, 1, -1), 1).alone, 1);
  EXPECT_EQ(find_noise(scattered(3, 1, -1), 4).alone, 3);  // and a class without pictures
}

TEST(NoiseReport, OfATrainedRunNamesPathsAndClasses) {
  test::TemporaryFolder folder;
  const std::string data = folder / "data";
  write_tiny_data(data, 6, 8);
  namespace fs = std::filesystem;
  // class1's last picture lies in class4, and class2 is there twice.
  fs::rename(data + "/class1/7.png", data + "/class4/strayed.png");
  fs::create_directories(data + "/twin");
  for (int i = 4; i < 8; ++i)
    fs::rename(concat(data, "/class2/", i, ".png"), concat(data, "/twin/", i, ".png"));
  const Options options = parse_train_options(tiny_arguments(
      folder.path().string(), {"--train.losses", "triplet", "--train.epochs", "18", "--data.augment", ""}));
  const TrainConfig config = read_train_config(options);
  const std::unique_ptr<Stream> stream = make_stream({});
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  EXPECT_THROW(report_noise(config, *stream, *communicator), Error);  // nothing trained yet
  Trainer(config, options, *stream, *communicator).run();
  const std::string text = report_noise(config, *stream, *communicator);
  EXPECT_THAT(text, HasSubstr("strayed.png: class4 or class1?"));
  // How near a small network brings the twins hangs on rounding: as one class, or as each other's pictures.
  EXPECT_THAT(text, AnyOf(HasSubstr("class2 = twin"), HasSubstr("twin or class2?")));
  const Json json = parse_json(read_file(folder / "run/noise.json"), "noise.json");
  EXPECT_EQ(json_get<int64_t>(json, "pictures", "noise.json"), 48);
  EXPECT_FALSE(json["mislabelled"].empty());
  EXPECT_TRUE(json["twin_classes"].is_array());
}

}  // namespace
}  // namespace kindred
