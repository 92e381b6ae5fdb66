#include "trainer/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "common/base/error.h"
#include "common/base/log.h"
#include "tests/trainer/data/data_folder.h"

namespace kindred {
namespace {

constexpr int kSide = 8;

/// Adds a random number to the picture's blue, so that draws can be told apart.
class Tint : public Transform {
 public:
  void apply(Image& image, Random& random) const override {
    const auto tint = static_cast<uint8_t>(random.below(100));
    for (size_t i = 2; i < image.pixels.size(); i += 3) image.pixels[i] = tint;
  }
};

class Throwing : public Transform {
 public:
  void apply(Image&, Random&) const override { throw std::runtime_error("a worker met this"); }
};

LoaderOptions loader_options() {
  LoaderOptions options;
  options.seed = 11;
  options.image.height = options.image.width = kSide;
  return options;
}

/// Tint and fit.
std::vector<std::unique_ptr<Transform>> tinting() {
  const Options none("test", "");
  std::vector<std::unique_ptr<Transform>> transforms = make_transforms({}, none, loader_options().image);
  transforms.push_back(std::make_unique<Tint>());
  return transforms;
}

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::error);
    folder_.write_pictures(6, 6);
    dataset_ = load_dataset(folder_.path());
  }
  void TearDown() override { set_log_level(LogLevel::info); }

  /// Everything in `count` batches from (epoch, step) on, as text.
  std::vector<std::string> batches(const LoaderOptions& options, int count, int64_t epoch = 0,
                                   int64_t step = 0, int rank = 0, int ranks = 1) {
    const PkSampler sampler(dataset_, options.seed, 8, 2, ranks);
    Loader loader(dataset_, sampler, tinting(), options, rank);
    loader.start(epoch, step);
    std::vector<std::string> texts;
    for (int i = 0; i < count; ++i) {
      const Batch batch = loader.next();
      std::string text = concat(batch.epoch, " ", batch.step, ":");
      for (size_t row = 0; row < batch.labels.size(); ++row) {
        text += concat(" ", batch.labels[row], ",", batch.sample_ids[row]);
        const float* pixel = batch.images.slice(static_cast<int64_t>(row), 1).f32();
        for (int c = 0; c < 3; ++c) text += concat(",", pixel[c]);
      }
      texts.push_back(text);
    }
    return texts;
  }

  DataFolder folder_;
  Dataset dataset_;
};

TEST_F(LoaderTest, GivesThePicturesOfTheSampler) {
  const PkSampler sampler(dataset_, 11, 8, 2, 1);
  const Options none("test", "");
  Loader loader(dataset_, sampler, make_transforms({}, none, loader_options().image), loader_options(), 0);
  const Batch batch = loader.next();
  EXPECT_EQ(batch.images.shape(), (Shape{8, kSide, kSide, 3}));
  EXPECT_EQ(batch.sample_ids, sampler.batch(0, 0, 0));
  for (size_t row = 0; row < 8; ++row) {
    const int64_t id = batch.sample_ids[row], label = id / 6, picture = id % 6;
    EXPECT_EQ(batch.labels[row], label);
    const float* pixels = batch.images.slice(static_cast<int64_t>(row), 1).f32();
    for (int i = 0; i < kSide * kSide * 3; i += 3) {
      EXPECT_FLOAT_EQ(pixels[i], (static_cast<float>(label * 16) / 255 - 0.485f) / 0.229f);
      EXPECT_FLOAT_EQ(pixels[i + 1], (static_cast<float>(picture * 8) / 255 - 0.456f) / 0.224f);
    }
  }
}

TEST_F(LoaderTest, BatchesDoNotDependOnWorkersDepthOrCache) {
  LoaderOptions plain = loader_options(), wide = plain, cached = plain;
  wide.workers = 5;
  wide.depth = 7;
  cached.cache = true;
  cached.workers = 2;
  const std::vector<std::string> expected = batches(plain, 13);  // more than three epochs
  EXPECT_EQ(batches(wide, 13), expected);
  EXPECT_EQ(batches(cached, 13), expected);
  EXPECT_EQ(std::set<std::string>(expected.begin(), expected.end()).size(), 13u);
}

TEST_F(LoaderTest, ResumesAtAnyStep) {
  const std::vector<std::string> expected = batches(loader_options(), 12);
  for (int from = 1; from < 12; from += 3) {
    const std::vector<std::string> rest(expected.begin() + from, expected.end());
    EXPECT_EQ(batches(loader_options(), 12 - from, from / 4, from % 4), rest) << "from " << from;
  }
}

TEST_F(LoaderTest, RanksTogetherSeeWhatOneRankSees) {
  const auto rows = [](const std::string& text) { return text.substr(text.find(':') + 1); };
  const std::vector<std::string> whole = batches(loader_options(), 4);
  const std::vector<std::string> first = batches(loader_options(), 4, 0, 0, 0, 2);
  const std::vector<std::string> second = batches(loader_options(), 4, 0, 0, 1, 2);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(rows(first[i]) + rows(second[i]), rows(whole[i]));
}

TEST_F(LoaderTest, ReplacesABrokenPictureByTheSameOtherEveryTime) {
  folder_.write("class2/3.png", "no picture");
  const int64_t broken_id = 2 * 6 + 3;
  LoaderOptions options = loader_options();
  options.max_broken_fraction = 0.05;
  const PkSampler sampler(dataset_, options.seed, 8, 2, 1);
  std::set<int64_t> replacements;
  for (const int workers : {1, 3}) {
    options.workers = workers;
    Loader loader(dataset_, sampler, tinting(), options, 0);
    for (int i = 0; i < 16; ++i) {
      const Batch batch = loader.next();
      const std::vector<int64_t> asked = sampler.batch(batch.epoch, batch.step, 0);
      for (size_t row = 0; row < asked.size(); ++row) {
        if (asked[row] != broken_id) {
          EXPECT_EQ(batch.sample_ids[row], asked[row]);
        } else {
          EXPECT_EQ(batch.labels[row], 2);
          replacements.insert(batch.sample_ids[row]);
        }
      }
    }
    EXPECT_EQ(loader.broken(), 1);
  }
  ASSERT_EQ(replacements.size(), 1u);
  EXPECT_NE(*replacements.begin(), broken_id);
  EXPECT_EQ(*replacements.begin() / 6, 2);
}

TEST_F(LoaderTest, StopsWhenTooManyPicturesAreBroken) {
  folder_.write("class0/0.png", "no picture");
  const PkSampler sampler(dataset_, 11, 8, 2, 1);
  Loader loader(dataset_, sampler, tinting(), loader_options(), 0);
  try {
    for (int i = 0; i < 20; ++i) loader.next();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("1 of 36 pictures cannot be read, more than the allowed 1.00 %"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("class0/0.png"));
  }
}

TEST_F(LoaderTest, SaysWhichClassHasNoReadablePicture) {
  for (int i = 0; i < 6; ++i) folder_.write(concat("class1/", i, ".png"), "");
  LoaderOptions options = loader_options();
  options.max_broken_fraction = 1;
  const PkSampler sampler(dataset_, options.seed, 8, 2, 1);
  Loader loader(dataset_, sampler, tinting(), options, 0);
  try {
    for (int i = 0; i < 20; ++i) loader.next();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "class 'class1': none of its pictures can be read");
  }
}

TEST_F(LoaderTest, AnExceptionInAWorkerReachesNext) {
  LoaderOptions options = loader_options();
  options.workers = 3;
  std::vector<std::unique_ptr<Transform>> transforms;
  transforms.push_back(std::make_unique<Throwing>());
  const PkSampler sampler(dataset_, options.seed, 8, 2, 1);
  Loader loader(dataset_, sampler, std::move(transforms), options, 0);
  EXPECT_THROW(loader.next(), std::runtime_error);
  EXPECT_THROW(loader.next(), std::runtime_error);  // and again, instead of waiting for ever
}

TEST_F(LoaderTest, CanBeDroppedAtAnyMoment) {
  const PkSampler sampler(dataset_, 11, 8, 2, 1);
  LoaderOptions options = loader_options();
  options.workers = 3;
  for (int taken = 0; taken < 4; ++taken) {
    Loader loader(dataset_, sampler, tinting(), options, 0);
    for (int i = 0; i < taken; ++i) loader.next();
    EXPECT_GE(loader.take_wait_seconds(), 0);
  }
}

TEST_F(LoaderTest, AFullCacheReadsTheRestAgain) {
  LoaderOptions options = loader_options(), small = options;
  small.cache = true;
  small.cache_bytes = 12 * 10 * 3 * 5;  // five pictures
  EXPECT_EQ(batches(small, 9), batches(options, 9));
}

TEST_F(LoaderTest, TheCacheSparesReading) {
  LoaderOptions options = loader_options();
  options.cache = true;
  options.max_broken_fraction = 0;
  const PkSampler sampler(dataset_, options.seed, 12, 2, 1);
  Loader loader(dataset_, sampler, tinting(), options, 0);
  std::set<int64_t> seen;
  while (seen.size() < dataset_.items.size()) {
    const Batch batch = loader.next();
    seen.insert(batch.sample_ids.begin(), batch.sample_ids.end());
  }
  std::filesystem::remove_all(folder_.path() + "/class0");
  for (int i = 0; i < 10; ++i) EXPECT_NO_THROW(loader.next());
}

}  // namespace
}  // namespace kindred
