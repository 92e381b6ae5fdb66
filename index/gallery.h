// A gallery is a folder: what is stored, how it is searched, and what its thresholds are worth.
//   gallery.db     SQLite, the truth: id, uri, label, metadata, content hash, vector
//   index.faiss    derived, rebuilt when missing, damaged or older than the truth (absent for "exact")
//   manifest.json  format, model id, preprocessing, metric, index type, counts, thresholds per target FPR,
//   SHA-256
// A crash at any moment leaves what was before the change or what is after it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"
#include "common/image/image_spec.h"

namespace kindred {

struct GalleryItem {
  std::string id;            // unique, 1 to 255 bytes of UTF-8 without control characters
  std::string uri;           // where the picture is
  std::string label;         // "" when unknown
  Json metadata;             // an object or null
  std::string content_hash;  // SHA-256 of the picture's bytes
};

struct GalleryHit {
  GalleryItem item;
  float score = 0;  // exact cosine, in [-1, 1]
};

/// A threshold with its measured rates (index calibration fills them).
struct CalibratedThreshold {
  double target_fpr = 0, threshold = 0, achieved_fpr = 0, true_positive_rate = 0;
  int64_t false_accepts = 0, positive_pairs = 0, negative_pairs = 0;
};

struct GalleryInfo {
  std::string model_id;
  ImageSpec image;
  int dim = 0;
  std::string index_type;  // "exact", "flat", "hnsw"
  int64_t items = 0;
  std::vector<CalibratedThreshold> thresholds;
};

class Gallery {
 public:
  /// A new, empty gallery. `info.items` and `info.thresholds` are taken as empty. Throws Error when the
  /// folder exists and is not empty, or when the index type is unknown.
  static Gallery create(const std::string& folder, const GalleryInfo& info);
  /// Throws Error: not a gallery, damaged (which file, what is wrong), made by a newer format.
  /// `model_id` non-empty: refused when it differs ("built for model 3f9a12, the embedder is 77c0de; ...").
  static Gallery open(const std::string& folder, std::string_view model_id);
  Gallery(Gallery&&) noexcept;
  ~Gallery();

  /// The state now; `items` counts what can be found.
  GalleryInfo info() const;
  const std::string& folder() const;

  /// All or nothing, durable on return, searchable at once; an id that is there is replaced, of an id given
  /// twice the last one stays. vectors [items.size(), dim], unit rows. Throws Error on a bad item or vector,
  /// changing nothing.
  void add(std::span<const GalleryItem> items, std::span<const float> vectors);
  /// How many were there. All or nothing, durable on return.
  int64_t remove(std::span<const std::string> ids);
  std::optional<GalleryItem> find(std::string_view id) const;
  /// The unit vector stored under an id.
  std::optional<std::vector<float>> find_vector(std::string_view id) const;

  /// The k nearest of each query (unit rows [n, dim]), nearest first; ties by age in the gallery; fewer when
  /// the gallery is smaller. Scores are exact cosines whatever the index type. Safe from several threads,
  /// also while another one adds or removes. Throws Error on k < 1, a wrong length or a query that is not a
  /// unit vector.
  std::vector<std::vector<GalleryHit>> search(std::span<const float> queries, int k) const;

  /// Everything, in order of addition: for evaluation and export. Row i of `vectors` belongs to item i as
  /// long as nobody adds or removes in between.
  std::vector<GalleryItem> items() const;
  std::vector<float> vectors() const;

  /// Durable on return.
  void set_thresholds(std::vector<CalibratedThreshold> thresholds);
  /// Writes index.faiss and the manifest as of now. `add` and `remove` do not: a stale index costs the next
  /// `open` its rebuilding, never an answer. Call it after a batch of changes.
  void save_index();
  /// Checks the files on disk: checksums, SQLite's structure, counts, norms, and that the index file holds
  /// the same vectors. Throws Error with the first fault.
  void verify() const;

 private:
  struct Impl;
  explicit Gallery(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Throws Error "what: ..." unless the numbers are finite and their length is 1.
void check_unit_rows(std::span<const float> vectors, int dim, std::string_view what);

/// Throws Error naming the field: an id of 1 to 255 bytes, texts of valid UTF-8 without control characters.
void check_item(const GalleryItem& item);

/// For programs: what `kindred-index --json`, exports and the daemon say.
Json to_json(const CalibratedThreshold& threshold);
Json to_json(const GalleryInfo& info);  // everything but the items
Json to_json(const GalleryItem& item);

}  // namespace kindred
