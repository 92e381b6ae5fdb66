// manifest.json of a gallery: what it was built for and how it is searched. The file carries a checksum of
// itself, so that a flipped bit in a threshold is an Error and not another threshold.
#pragma once

#include <string>

#include "index/gallery.h"

namespace kindred {

struct GalleryManifest {
  GalleryInfo info;        // info.items: as of the last save; the database knows better
  std::string gallery_id;  // 16 hex digits, the same in gallery.db
  /// The index file that belongs to this manifest; "" when there is none.
  std::string index_sha256;
};

/// Throws Error: missing, damaged, made by a newer format.
GalleryManifest read_manifest(const std::string& path);
/// Atomically.
void write_manifest(const std::string& path, const GalleryManifest& manifest);

}  // namespace kindred
