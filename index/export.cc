#include "index/export.h"

#include <filesystem>

#include "common/base/tensor.h"
#include "common/io/file.h"
#include "common/io/npy.h"
#include "index/gallery_manifest.h"

namespace kindred {

namespace fs = std::filesystem;

Json to_json(const GalleryItem& item) {
  return {{"id", item.id},
          {"uri", item.uri},
          {"label", item.label},
          {"metadata", item.metadata},
          {"content_hash", item.content_hash}};
}

Json to_json(const GalleryInfo& info) {
  Json thresholds = Json::array();
  for (const CalibratedThreshold& threshold : info.thresholds) thresholds.push_back(to_json(threshold));
  return {{"model_id", info.model_id},
          {"metric", "cosine"},
          {"dim", info.dim},
          {"items", info.items},
          {"index_type", info.index_type},
          {"image", info.image.to_json()},
          {"thresholds", thresholds}};
}

void export_gallery(const Gallery& gallery, const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(folder, ": cannot be created: ", error.message());
  if (!fs::is_empty(folder)) fail(folder, ": exists and is not empty");
  std::vector<float> vectors = gallery.vectors();
  std::string rows;
  for (const GalleryItem& item : gallery.items()) rows += to_json(item).dump() + "\n";
  const GalleryInfo info = gallery.info();
  write_npy(folder + "/vectors.npy",
            Tensor::view(vectors.data(), {static_cast<int64_t>(vectors.size()) / info.dim, info.dim}));
  write_file(folder + "/rows.jsonl", rows);
  write_file(folder + "/manifest.json", to_json(info).dump(2) + "\n");
}

}  // namespace kindred
