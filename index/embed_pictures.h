// Decodes pictures on all cores while they are embedded, in order.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "index/picture_embedder.h"
#include "index/pictures.h"

namespace kindred {

struct SkippedPicture {
  std::string path, reason;
};

/// One picture's vector. The spans live during the call only.
struct EmbeddedPicture {
  const Picture& picture;
  std::span<const float> vector;
  const std::string& content_hash;  // SHA-256 of the file
};

/// Calls sink with batches of embedded pictures, in order, and shows how far it is. Pictures that cannot be
/// read are left out and returned. Throws Error when not a single one could be read.
std::vector<SkippedPicture> embed_pictures(PictureEmbedder& embedder, std::span<const Picture> pictures,
                                           const std::function<void(std::span<const EmbeddedPicture>)>& sink);

/// Warns of the first few skipped pictures and of how many there are.
void warn_of_skipped(std::span<const SkippedPicture> skipped, size_t all);

}  // namespace kindred
