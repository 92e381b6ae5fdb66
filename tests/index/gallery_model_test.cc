// Random operations against a plain list: whatever happens, the gallery must say what the list says.
#include <set>

#include "common/base/registry.h"
#include "index/vector_index.h"
#include "tests/index/gallery_fixture.h"

namespace kindred {
namespace {

constexpr int kDim = 16, kIds = 40;

class GalleryModel : public testing::TestWithParam<std::string> {};

void expect_same_answers(const Gallery& gallery, const PlainGallery& plain, std::span<const float> query,
                         int k) {
  const auto hits = gallery.search(query, k)[0];
  const std::vector<double> best = plain.scores(query);
  ASSERT_EQ(hits.size(), std::min(static_cast<size_t>(k), plain.size()));
  std::set<std::string> seen;
  for (size_t i = 0; i < hits.size(); ++i) {
    EXPECT_TRUE(seen.insert(hits[i].item.id).second) << hits[i].item.id << " was found twice";
    EXPECT_NEAR(hits[i].score, best[i], 1e-6) << "at rank " << i;
    EXPECT_NEAR(hits[i].score, plain.score_of(hits[i].item.id, query), 1e-6)
        << "score of " << hits[i].item.id;
  }
}

TEST_P(GalleryModel, SaysWhatAPlainListSays) {
  const TemporaryFolder folder;
  PlainGallery plain;
  auto gallery = std::make_unique<Gallery>(Gallery::create(folder / "g", make_info(kDim, GetParam())));
  Random random(2024, {0, 0, 0});
  for (int step = 0; step < 2000; ++step) {
    SCOPED_TRACE(concat("step ", step));
    const int64_t action = random.below(100);
    if (action < 40) {
      const int64_t count = 1 + random.below(4);
      const std::vector<float> vectors = unit_rows(count, kDim, static_cast<uint64_t>(step) + 10);
      std::vector<GalleryItem> items;
      for (int64_t i = 0; i < count; ++i) {
        items.push_back(make_item(concat("id", random.below(kIds))));
        const auto row = vectors.begin() + i * kDim;
        plain.add(items.back().id, {row, row + kDim});
      }
      gallery->add(items, vectors);
    } else if (action < 65) {
      std::vector<std::string> ids;
      int64_t there = 0;
      for (int64_t i = 0; i < 1 + random.below(3); ++i) {
        ids.push_back(concat("id", random.below(kIds)));
        there += plain.remove(ids.back()) ? 1 : 0;
      }
      EXPECT_EQ(gallery->remove(ids), there);
    } else if (action < 96) {
      const std::vector<float> query = unit_rows(1, kDim, static_cast<uint64_t>(step) + 100000);
      expect_same_answers(*gallery, plain, query, static_cast<int>(1 + random.below(8)));
    } else if (action < 98) {
      gallery->save_index();
      gallery->verify();
    } else {
      gallery.reset();
      gallery = std::make_unique<Gallery>(Gallery::open(folder / "g", "3f9a12"));
    }
    ASSERT_EQ(gallery->info().items, static_cast<int64_t>(plain.size()));
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  std::vector<float> vectors;
  for (const auto& [id, vector] : plain.rows()) vectors.insert(vectors.end(), vector.begin(), vector.end());
  EXPECT_EQ(gallery->vectors(), vectors);
  const auto items = gallery->items();
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(items[i].id, plain.rows()[i].first);
}

std::vector<std::string> available_types() {
  std::vector<std::string> types;
  for (const auto& [name, entry] : vector_index_registry().entries())
    if (!entry.help.starts_with("not available")) types.push_back(name);
  return types;
}

INSTANTIATE_TEST_SUITE_P(EveryType, GalleryModel, testing::ValuesIn(available_types()),
                         [](const auto& type) { return type.param; });

}  // namespace
}  // namespace kindred
