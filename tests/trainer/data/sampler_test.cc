#include "trainer/data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/base/error.h"

namespace kindred {
namespace {

/// Classes of the given sizes; their items lie one after the other.
Dataset dataset_of(const std::vector<int>& sizes) {
  Dataset dataset;
  for (size_t label = 0; label < sizes.size(); ++label) {
    dataset.class_names.push_back(concat("class", label));
    for (int i = 0; i < sizes[label]; ++i)
      dataset.items.push_back({concat(label, "/", i), static_cast<int64_t>(label)});
  }
  return dataset;
}

TEST(PkSampler, BatchHoldsPClassesOfKDistinctImages) {
  const Dataset dataset = dataset_of({5, 4, 9, 6, 7, 4, 8});
  const PkSampler sampler(dataset, 1, 12, 4, 1);
  EXPECT_EQ(sampler.steps_per_epoch(), 43 / 12);
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
      const std::vector<int64_t> batch = sampler.batch(epoch, step, 0);
      ASSERT_EQ(batch.size(), 12u);
      EXPECT_EQ(std::set<int64_t>(batch.begin(), batch.end()).size(), 12u);
      std::set<int64_t> classes;
      for (size_t i = 0; i < batch.size(); i += 4) {
        const int64_t label = dataset.items[static_cast<size_t>(batch[i])].label;
        classes.insert(label);
        for (size_t k = 1; k < 4; ++k)
          EXPECT_EQ(dataset.items[static_cast<size_t>(batch[i + k])].label, label);
      }
      EXPECT_EQ(classes.size(), 3u);
    }
  }
}

TEST(PkSampler, RanksShareTheGlobalBatch) {
  const Dataset dataset = dataset_of(std::vector<int>(10, 9));
  const PkSampler one(dataset, 5, 24, 4, 1), two(dataset, 5, 24, 4, 2), eight(dataset, 5, 24, 4, 8);
  for (int64_t step = 0; step < one.steps_per_epoch(); ++step) {
    for (const PkSampler* many : {&two, &eight}) {
      const int ranks = many == &two ? 2 : 8;
      std::vector<int64_t> joined;
      for (int rank = 0; rank < ranks; ++rank) {
        const std::vector<int64_t> part = many->batch(3, step, rank);
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(joined, one.batch(3, step, 0));
    }
  }
}

TEST(PkSampler, IsAFunctionOfSeedEpochAndStep) {
  const Dataset dataset = dataset_of(std::vector<int>(10, 8));
  const PkSampler sampler(dataset, 5, 16, 4, 1), same(dataset, 5, 16, 4, 1), other(dataset, 6, 16, 4, 1);
  const std::vector<int64_t> later = sampler.batch(7, 2, 0);
  EXPECT_EQ(same.batch(7, 2, 0), later);  // asked for first
  EXPECT_NE(other.batch(7, 2, 0), later);
  EXPECT_NE(sampler.batch(8, 2, 0), later);
  EXPECT_NE(sampler.batch(7, 1, 0), later);
}

TEST(PkSampler, EveryClassAppearsEquallyOftenToWithinOne) {
  const Dataset dataset = dataset_of({40, 3, 17, 22, 9, 30, 8, 31, 12, 15, 6});  // sizes do not matter
  const PkSampler sampler(dataset, 1, 12, 3, 1);
  for (int64_t epoch = 0; epoch < 10; ++epoch) {
    std::map<int64_t, int> appearances;
    for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
      for (const int64_t id : sampler.batch(epoch, step, 0))
        ++appearances[dataset.items[static_cast<size_t>(id)].label];
    }
    const auto [least, most] =
        std::minmax_element(appearances.begin(), appearances.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; });
    EXPECT_EQ(appearances.size(), 11u);
    EXPECT_LE(most->second - least->second, 3);  // K: one appearance
  }
}

TEST(PkSampler, AnEpochOfEqualClassesShowsEveryImageOnce) {
  const Dataset dataset = dataset_of(std::vector<int>(6, 8));
  const PkSampler sampler(dataset, 1, 12, 4, 1);
  std::vector<int64_t> seen;
  for (int64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
    const std::vector<int64_t> batch = sampler.batch(0, step, 0);
    seen.insert(seen.end(), batch.begin(), batch.end());
  }
  std::sort(seen.begin(), seen.end());
  ASSERT_EQ(seen.size(), 48u);
  for (int64_t i = 0; i < 48; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(PkSampler, ASmallClassGivesEachImageEquallyOften) {
  const PkSampler sampler(dataset_of({2, 3}), 1, 10, 5, 1);
  std::map<int64_t, int> uses;
  for (const int64_t id : sampler.batch(0, 0, 0)) ++uses[id];
  EXPECT_GE(uses[0], 2);
  EXPECT_GE(uses[1], 2);
  for (int64_t id = 2; id < 5; ++id) EXPECT_GE(uses[id], 1) << id;
}

TEST(PkSampler, SaysWhyItCannotSample) {
  const auto error_of = [](const std::vector<int>& sizes, int64_t batch, int images, int ranks) {
    try {
      PkSampler(dataset_of(sizes), 1, batch, images, ranks);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error_of({4, 4, 4}, 16, 4, 1),
            "a global batch of 16 images, 4 per class, needs 4 classes; the data set has 3");
  EXPECT_EQ(error_of({4, 4, 4}, 10, 4, 1),
            "the global batch of 10 images is not a multiple of 4 images per class");
  EXPECT_EQ(error_of({4, 4, 4}, 12, 4, 5), "the global batch of 12 images cannot be divided among 5 ranks");
  EXPECT_EQ(error_of({4, 1, 4}, 8, 4, 1),
            "1 of 3 classes have fewer than two images, so nothing can be learned from them: 'class1'; give "
            "them more "
            "images or leave them out");
}

}  // namespace
}  // namespace kindred
