// Files that were cut short or changed: an Error, or the same answers as before. Never another answer, never
// a crash.
#include <filesystem>

#include "common/io/file.h"
#include "index/vector_index.h"
#include "tests/index/gallery_fixture.h"

namespace kindred {
namespace {

constexpr int kDim = 24, kItems = 60;

class DamagedGallery : public testing::Test {
 protected:
  // Without FAISS there is no index file to damage, and the exact type stands in.
  static std::string type() {
    return vector_index_registry().get("flat").help.starts_with("not available") ? "exact" : "flat";
  }

  DamagedGallery() {
    Gallery gallery = Gallery::create(original_, make_info(kDim, type()));
    std::vector<GalleryItem> items;
    for (int i = 0; i < kItems; ++i) items.push_back(make_item(concat("item", i), concat("label", i % 7)));
    gallery.add(items, unit_rows(kItems, kDim, 1));
    gallery.set_thresholds({{1e-2, 0.625, 0.009, 0.75, 3, 100, 400}});
    gallery.save_index();
  }

  /// A copy of the gallery whose file `name` holds `content`.
  std::string with(const std::string& name, const std::string& content) {
    const std::string copy = folder_ / "copy";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(original_, copy);
    write_file(copy + "/" + name, content);
    return copy;
  }
  std::string original(const std::string& name) const { return read_file(original_ + "/" + name); }

  /// True when the damage was reported; fails the test when the gallery opens and says anything else than
  /// before.
  static bool reported_or_harmless(const std::string& copy) {
    try {
      const Gallery gallery = Gallery::open(copy, "3f9a12");
      EXPECT_EQ(gallery.vectors(), unit_rows(kItems, kDim, 1));
      const auto items = gallery.items();
      for (size_t i = 0; i < items.size(); ++i) {
        EXPECT_EQ(items[i].id, concat("item", i));
        EXPECT_EQ(items[i].label, concat("label", i % 7));
        EXPECT_EQ(items[i].uri, "/pictures/" + items[i].id);
      }
      const auto hits = gallery.search(unit_rows(kItems, kDim, 1), 1);
      for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i][0].item.id, concat("item", i));
      const GalleryInfo info = gallery.info();
      EXPECT_EQ(info.thresholds.size(), 1u);
      for (const CalibratedThreshold& one : info.thresholds) EXPECT_EQ(one.threshold, 0.625);
      return false;
    } catch (const Error&) {
      return true;
    }
  }

  const TemporaryFolder folder_;
  const std::string original_ = folder_ / "original";
};

TEST_F(DamagedGallery, DatabaseCutShortIsReported) {
  const std::string whole = original("gallery.db");
  for (size_t length = 0; length < whole.size(); length += 997) {
    SCOPED_TRACE(length);
    EXPECT_TRUE(reported_or_harmless(with("gallery.db", whole.substr(0, length))));
  }
}

TEST_F(DamagedGallery, ChangedDatabaseNeverAnswersOtherwise) {
  const std::string whole = original("gallery.db");
  Random random(7, {0, 0, 0});
  int reported = 0;
  constexpr int kRounds = 300;
  for (int round = 0; round < kRounds; ++round) {
    std::string changed = whole;
    const auto at = static_cast<size_t>(random.below(static_cast<int64_t>(whole.size())));
    changed[at] = static_cast<char>(changed[at] ^ (1 << random.below(8)));
    SCOPED_TRACE(concat("bit flipped in byte ", at));
    reported += reported_or_harmless(with("gallery.db", changed)) ? 1 : 0;
  }
  EXPECT_GT(reported, kRounds / 20) << "hardly any change was noticed: the test looks at nothing";
}

TEST_F(DamagedGallery, EveryChangeInsideAVectorIsReported) {
  const std::string whole = original("gallery.db");
  const std::vector<float> vectors = unit_rows(kItems, kDim, 1);
  const std::string_view row(reinterpret_cast<const char*>(vectors.data() + 5 * kDim), kDim * sizeof(float));
  const size_t at = whole.find(row);
  ASSERT_NE(at, std::string::npos);
  for (size_t byte = at; byte < at + row.size(); byte += 5) {
    std::string changed = whole;
    changed[byte] = static_cast<char>(changed[byte] ^ 1);
    EXPECT_TRUE(reported_or_harmless(with("gallery.db", changed))) << byte - at;
  }
}

TEST_F(DamagedGallery, EveryFlippedByteOfTheManifestIsReportedOrHarmless) {
  const std::string whole = original("manifest.json");
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    SCOPED_TRACE(concat("byte ", at, " became '", changed[at], "'"));
    reported_or_harmless(with("manifest.json", changed));
  }
}

TEST_F(DamagedGallery, ManifestCutShortIsReported) {
  const std::string whole = original("manifest.json");
  for (size_t length = 0; length + 2 < whole.size(); length += 13) {
    SCOPED_TRACE(length);
    EXPECT_TRUE(reported_or_harmless(with("manifest.json", whole.substr(0, length))));
  }
}

TEST_F(DamagedGallery, NewerFormatIsRefusedPolitely) {
  std::string manifest = original("manifest.json");
  manifest.replace(manifest.find("\"format\": 1"), 11, "\"format\": 9");
  try {
    Gallery::open(with("manifest.json", manifest), "");
    FAIL() << "opened a gallery of format 9";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("use a newer Kindred"), std::string::npos) << error.what();
  }
}

TEST_F(DamagedGallery, ManifestOfAnotherGalleryIsRefused) {
  Gallery::create(folder_ / "other", make_info(kDim, type()));
  EXPECT_TRUE(reported_or_harmless(with("manifest.json", read_file(folder_ / "other/manifest.json"))));
}

TEST_F(DamagedGallery, MissingFilesAreReported) {
  for (const char* name : {"manifest.json", "gallery.db"}) {
    const std::string copy = with("manifest.json", original("manifest.json"));
    std::filesystem::remove(copy + "/" + name);
    EXPECT_TRUE(reported_or_harmless(copy)) << name;
  }
}

TEST_F(DamagedGallery, DamagedIndexFileIsMadeAfreshAndVerifySaysSo) {
  if (type() == "exact") GTEST_SKIP() << "built without FAISS: no type has a file";
  const std::string whole = original("index.faiss");
  for (size_t at = 0; at < whole.size(); at += 211) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 64);
    for (const std::string& content : {changed, whole.substr(0, at)}) {
      SCOPED_TRACE(at);
      const std::string copy = with("index.faiss", content);
      EXPECT_FALSE(reported_or_harmless(copy)) << "the index is derived: its damage must not stop anybody";
      Gallery gallery = Gallery::open(copy, "");
      EXPECT_THROW(gallery.verify(), Error);
      gallery.save_index();
      EXPECT_NO_THROW(gallery.verify());
    }
  }
}

TEST_F(DamagedGallery, VerifyFindsWhatOpeningNeedsNotLookAt) {
  Gallery gallery = Gallery::open(original_, "");
  EXPECT_NO_THROW(gallery.verify());
  std::string changed = original("gallery.db");
  changed.resize(changed.size() - 512);  // the open gallery does not look at the file again; verify does
  write_file(original_ + "/gallery.db", changed);
  EXPECT_THROW(gallery.verify(), Error);
}

}  // namespace
}  // namespace kindred
