// Pictures into galleries.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "index/embed_pictures.h"
#include "index/gallery.h"

namespace kindred {

struct BuildReport {
  std::string index_type, reason;  // why that type
  int64_t items = 0;
  double seconds = 0;
  std::vector<SkippedPicture> skipped;
};

/// Embeds the pictures into a new gallery that appears under its name when it is complete. `index_type` may
/// be "auto". Throws Error when the folder exists and is not empty, or when no picture could be read.
BuildReport build_gallery(const std::string& folder, PictureEmbedder& embedder,
                          std::span<const Picture> pictures, const std::string& index_type);

/// Adds the pictures, in durable portions: what was added before an error stays. Saves the index at the end.
/// Requires: the gallery was opened for this embedder's id.
BuildReport add_pictures(Gallery& gallery, PictureEmbedder& embedder, std::span<const Picture> pictures);

}  // namespace kindred
