// A gallery as files that every other tool reads: vectors.npy (float32, [n, dim]), rows.jsonl (id, uri,
// label, metadata, content hash; line i belongs to row i) and manifest.json (model, metric, thresholds).
#pragma once

#include <string>

#include "index/gallery.h"

namespace kindred {

/// Throws Error when the folder exists and is not empty.
void export_gallery(const Gallery& gallery, const std::string& folder);

}  // namespace kindred
