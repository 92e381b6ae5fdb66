// The SQLite side of a gallery: items and vectors, written all or nothing, durable on return (WAL journal
// with synchronous FULL). Every row carries a CRC-32C of its content, and the schema is compared word by word
// on opening, so that a damaged file is an Error and never a wrong answer. The only file that includes
// <sqlite3.h> is its body.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/gallery.h"

namespace kindred {

class GalleryStore {
 public:
  /// A new database. `gallery_id` ties it to its manifest. Throws Error when the file exists.
  static GalleryStore create(const std::string& path, const std::string& gallery_id, int dim);
  /// Opens and checks form, version, gallery id and dimension. A folder without write permission is read
  /// only.
  static GalleryStore open(const std::string& path, const std::string& gallery_id, int dim);
  GalleryStore(GalleryStore&&) noexcept;
  ~GalleryStore();

  /// Calls visit(key, item, vector [dim]) for every item in order of addition. Throws Error on the first
  /// damaged row.
  void read(
      const std::function<void(int64_t key, GalleryItem item, std::span<const float> vector)>& visit) const;

  /// Removes the items of `old_keys` and adds `items` with their vectors [items.size(), dim]: one
  /// transaction. Returns the new keys, ascending and larger than any before. Throws Error, changing nothing,
  /// when another process changed the gallery since it was opened.
  std::vector<int64_t> replace(std::span<const int64_t> old_keys, std::span<const GalleryItem> items,
                               std::span<const float> vectors);

  /// SQLite's own check of the whole file. Throws Error with its first finding.
  void check_integrity() const;

 private:
  struct Impl;
  explicit GalleryStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
