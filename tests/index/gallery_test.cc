#include "index/gallery.h"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "index/vector_index.h"
#include "tests/index/gallery_fixture.h"
#include "tests/support/error_of.h"

namespace kindred {
namespace {

using test::error_of;

constexpr int kDim = 24;

Gallery make_gallery(const std::string& folder, int64_t items, const std::string& type = "exact") {
  Gallery gallery = Gallery::create(folder, make_info(kDim, type));
  std::vector<GalleryItem> list;
  for (int64_t i = 0; i < items; ++i) list.push_back(make_item("item" + std::to_string(i)));
  gallery.add(list, unit_rows(items, kDim, 5));
  return gallery;
}

TEST(Gallery, GivesBackWhatWasAdded) {
  const TemporaryFolder folder;
  const GalleryItem item{"a/b.png", "/x/a/b.png", "caf\xc3\xa9", Json{{"price", 3.5}, {"tags", {"x", "y"}}},
                         "00ff"};
  {
    Gallery gallery = Gallery::create(folder / "g", make_info(kDim));
    gallery.add(std::span(&item, 1), unit_rows(1, kDim, 1));
  }
  const Gallery gallery = Gallery::open(folder / "g", "3f9a12");
  const auto found = gallery.find("a/b.png");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->uri, item.uri);
  EXPECT_EQ(found->label, item.label);
  EXPECT_EQ(found->metadata, item.metadata);
  EXPECT_EQ(found->content_hash, item.content_hash);
  EXPECT_EQ(gallery.vectors(), unit_rows(1, kDim, 1));
  EXPECT_EQ(gallery.info().items, 1);
}

TEST(Gallery, FindsEachItemByItsOwnVectorWithScoreOne) {
  const TemporaryFolder folder;
  const Gallery gallery = make_gallery(folder / "g", 50);
  const auto hits = gallery.search(gallery.vectors(), 3);
  ASSERT_EQ(hits.size(), 50u);
  for (size_t i = 0; i < hits.size(); ++i) {
    EXPECT_EQ(hits[i][0].item.id, "item" + std::to_string(i));
    EXPECT_NEAR(hits[i][0].score, 1, 1e-6);
    EXPECT_LE(hits[i][0].score, 1);
    EXPECT_GE(hits[i][1].score, hits[i][2].score);
  }
}

TEST(Gallery, BreaksTiesByAge) {
  const TemporaryFolder folder;
  Gallery gallery = Gallery::create(folder / "g", make_info(kDim));
  const std::vector<float> vector = unit_rows(1, kDim, 1);
  for (const char* id : {"c", "a", "b"}) {
    const GalleryItem item = make_item(id);
    gallery.add(std::span(&item, 1), vector);
  }
  const auto hits = gallery.search(vector, 3);
  EXPECT_EQ(hits[0][0].item.id, "c");
  EXPECT_EQ(hits[0][1].item.id, "a");
  EXPECT_EQ(hits[0][2].item.id, "b");
}

TEST(Gallery, ReturnsFewerHitsWhenItIsSmaller) {
  const TemporaryFolder folder;
  Gallery gallery = make_gallery(folder / "g", 3);
  EXPECT_EQ(gallery.search(unit_rows(1, kDim, 9), 10)[0].size(), 3u);
  const std::vector<std::string> all{"item0", "item1", "item2"};
  EXPECT_EQ(gallery.remove(all), 3);
  EXPECT_TRUE(gallery.search(unit_rows(1, kDim, 9), 10)[0].empty());
}

TEST(Gallery, ReplacesAnItemWithTheSameId) {
  const TemporaryFolder folder;
  Gallery gallery = make_gallery(folder / "g", 5);
  const std::vector<GalleryItem> twice{make_item("item2", "old"), make_item("item2", "new")};
  gallery.add(twice, unit_rows(2, kDim, 77));
  EXPECT_EQ(gallery.info().items, 5);
  EXPECT_EQ(gallery.find("item2")->label, "new");
  const std::vector<float> both = unit_rows(2, kDim, 77);
  EXPECT_NEAR(gallery.search(std::span(both).last(kDim), 1)[0][0].score, 1, 1e-6);
  EXPECT_LT(gallery.search(std::span(both).first(kDim), 1)[0][0].score, 0.99);
}

TEST(Gallery, RefusesAnotherModelAndNamesBoth) {
  const TemporaryFolder folder;
  make_gallery(folder / "g", 1);
  EXPECT_THAT(error_of([&] { Gallery::open(folder / "g", "77c0de"); }),
              testing::AllOf(testing::HasSubstr("built for model 3f9a12"), testing::HasSubstr("77c0de")));
}

TEST(Gallery, RefusesAFolderThatIsNotEmpty) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "mine";
  EXPECT_THAT(error_of([&] { Gallery::create(folder / "", make_info(kDim)); }),
              testing::HasSubstr("is not empty"));
}

TEST(Gallery, RefusesWhatIsNoGallery) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { Gallery::open(folder / "absent", ""); }), testing::HasSubstr("is no folder"));
  EXPECT_THAT(error_of([&] { Gallery::open(folder / "", ""); }), testing::HasSubstr("is missing"));
}

TEST(Gallery, RefusesAnUnknownIndexTypeBeforeWriting) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { Gallery::create(folder / "g", make_info(kDim, "exakt")); }),
              testing::HasSubstr("did you mean 'exact'"));
  EXPECT_FALSE(std::filesystem::exists(folder / "g"));
}

TEST(Gallery, RefusesBadVectorsAndChangesNothing) {
  const TemporaryFolder folder;
  Gallery gallery = make_gallery(folder / "g", 2);
  const GalleryItem item = make_item("new");
  const std::span one(&item, 1);
  std::vector<float> vector = unit_rows(1, kDim, 3);
  EXPECT_THAT(error_of([&] { gallery.add(one, std::span(vector).first(kDim - 1)); }),
              testing::HasSubstr("1 x 24"));
  vector[0] = std::nanf("");
  EXPECT_THAT(error_of([&] { gallery.add(one, vector); }), testing::HasSubstr("expected 1"));
  std::fill(vector.begin(), vector.end(), 0.f);
  EXPECT_THAT(error_of([&] { gallery.add(one, vector); }), testing::HasSubstr("has length 0"));
  EXPECT_EQ(gallery.info().items, 2);
  EXPECT_FALSE(gallery.find("new"));
}

TEST(Gallery, RefusesBadItems) {
  const std::string long_id(256, 'x');
  for (const std::string& id : {std::string(), long_id, std::string("a\nb"), std::string("\xc3"),
                                std::string("\xed\xa0\x80"), std::string("\xc0\xaf"), std::string("a\0b", 3)})
    EXPECT_THROW(check_item(make_item(id)), Error) << id;
  GalleryItem item = make_item("fine");
  item.metadata = Json::array({1});
  EXPECT_THAT(error_of([&] { check_item(item); }), testing::HasSubstr("expected an object"));
  item.metadata = Json{{"text", "\xff"}};
  EXPECT_THAT(error_of([&] { check_item(item); }), testing::HasSubstr("invalid UTF-8"));
  EXPECT_NO_THROW(check_item(make_item("\xe5\x9b\xbe/\xf0\x9f\x90\x88 1.png")));
}

TEST(Gallery, RefusesBadQueries) {
  const TemporaryFolder folder;
  const Gallery gallery = make_gallery(folder / "g", 2);
  EXPECT_THROW(gallery.search(unit_rows(1, kDim - 1, 3), 1), Error);
  EXPECT_THROW(gallery.search(unit_rows(1, kDim, 3), 0), Error);
  EXPECT_THROW(gallery.search(std::vector<float>(kDim, 2.f), 1), Error);
}

TEST(Gallery, RefusesToWriteOverAnotherProcessesChange) {
  const TemporaryFolder folder;
  Gallery first = make_gallery(folder / "g", 2);
  Gallery second = Gallery::open(folder / "g", "");
  const GalleryItem item = make_item("new");
  second.add(std::span(&item, 1), unit_rows(1, kDim, 3));
  const std::vector<std::string> ids{"item0"};
  EXPECT_THAT(error_of([&] { first.remove(ids); }), testing::HasSubstr("was changed by another process"));
  EXPECT_EQ(Gallery::open(folder / "g", "").info().items, 3);
}

TEST(Gallery, KeepsThresholds) {
  const TemporaryFolder folder;
  make_gallery(folder / "g", 2).set_thresholds({{1e-3, 0.61, 9e-4, 0.8, 9, 500, 10000}});
  const auto thresholds = Gallery::open(folder / "g", "").info().thresholds;
  ASSERT_EQ(thresholds.size(), 1u);
  EXPECT_EQ(thresholds[0].threshold, 0.61);
  EXPECT_EQ(thresholds[0].false_accepts, 9);
  EXPECT_EQ(thresholds[0].negative_pairs, 10000);
}

TEST(Gallery, CanBeReadWithoutWritePermission) {
  const TemporaryFolder folder;
  make_gallery(folder / "g", 4).save_index();
  const auto read_only = std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec;
  std::filesystem::permissions(folder / "g", read_only);
  EXPECT_EQ(Gallery::open(folder / "g", "").info().items, 4);
  std::filesystem::permissions(folder / "g", std::filesystem::perms::owner_all);
}

TEST(Gallery, WorksInAFolderWithOddCharacters) {
  const TemporaryFolder folder;
  make_gallery(folder / "a b?c#d%20e", 4);
  EXPECT_EQ(Gallery::open(folder / "a b?c#d%20e", "").info().items, 4);
}

TEST(Gallery, ForgetsRemovedRowsWhenTheyAreMany) {
  const TemporaryFolder folder;
  Gallery gallery = make_gallery(folder / "g", 10);
  const std::vector<float> vectors = unit_rows(1500, kDim, 6);
  std::vector<GalleryItem> items;
  std::vector<std::string> ids;
  for (int i = 0; i < 1500; ++i) {
    ids.push_back("passing" + std::to_string(i));
    items.push_back(make_item(ids.back()));
  }
  for (int round = 0; round < 2; ++round) {
    gallery.add(items, vectors);
    EXPECT_EQ(gallery.search(std::span(vectors).last(kDim), 1)[0][0].item.id, "passing1499");
    EXPECT_EQ(gallery.remove(ids), 1500);
    EXPECT_EQ(gallery.search(gallery.vectors(), 1)[9][0].item.id, "item9");
    EXPECT_EQ(gallery.find("item9")->id, "item9");
  }
  EXPECT_EQ(Gallery::open(folder / "g", "").info().items, 10);
}

TEST(Gallery, AnswersWhileOthersAddAndRemove) {
  const TemporaryFolder folder;
  Gallery gallery = make_gallery(folder / "g", 20);
  std::atomic<bool> stop = false;
  std::atomic<int64_t> wrong = 0;
  const std::vector<float> stored = gallery.vectors();
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t)
    readers.emplace_back([&] {
      while (!stop)  // item3 stays: it must be found in every state in between
        if (gallery.search(std::span(stored).subspan(3 * kDim, kDim), 1)[0][0].item.id != "item3") ++wrong;
    });
  const std::vector<float> fresh = unit_rows(60, kDim, 8);
  for (size_t i = 0; i < 60; ++i) {
    const GalleryItem item = make_item("new" + std::to_string(i));
    gallery.add(std::span(&item, 1), std::span(fresh).subspan(i * kDim, kDim));
    if (i % 3 == 0) {
      EXPECT_EQ(gallery.remove(std::span(&item.id, 1)), 1);
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(gallery.info().items, 20 + 40);
}

}  // namespace
}  // namespace kindred
