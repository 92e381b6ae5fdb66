// How vectors are searched. One file per type in types/, one registration line each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/base/registry.h"

namespace kindred {

/// Rows are dense numbers 0..size()-1 in order of `add`; removal is the caller's bitmap.
class VectorIndex {
 public:
  virtual ~VectorIndex() = default;
  virtual int dim() const = 0;
  virtual int64_t size() const = 0;
  /// The rows as they were added, [size(), dim()]: what exact scores are computed from. Valid until the next
  /// `add`.
  virtual const float* vectors() const = 0;
  /// vectors [n, dim()], unit rows.
  virtual void add(std::span<const float> vectors) = 0;
  /// Writes the k nearest of each query, nearest first. scores and rows [n, k]: cosines, missing results have
  /// row -1 and score -inf. `removed`: one bit a row, set bits are skipped; empty for none. Requires: k >= 1.
  /// Safe from several threads while nobody adds.
  virtual void search(std::span<const float> queries, int k, std::span<const uint64_t> removed, float* scores,
                      int64_t* rows) const = 0;
  /// Writes to / reads from a file whose checksum the gallery keeps and has verified; types without a file do
  /// neither. Throws Error.
  virtual void save(const std::string& path) const = 0;
  virtual void load(const std::string& path) = 0;
  virtual bool has_file() const { return true; }
};

using VectorIndexFactory = std::function<std::unique_ptr<VectorIndex>(int dim)>;
Registry<VectorIndexFactory>& vector_index_registry();

/// What "auto" stands for: a registered type, and the reason in words for people.
struct IndexChoice {
  std::string type, reason;
};
IndexChoice choose_index_type(int64_t items, int dim);

/// True when the row's bit is set; an empty bitmap removes nothing.
inline bool is_removed(std::span<const uint64_t> removed, int64_t row) {
  return !removed.empty() && (removed[static_cast<size_t>(row >> 6)] >> (row & 63) & 1) != 0;
}

}  // namespace kindred

#define KINDRED_INDEX(name, I, help)                                                                     \
  [[maybe_unused]] static const bool kindred_registered_##I = ::kindred::vector_index_registry().add(    \
      name, [](int dim) -> std::unique_ptr<::kindred::VectorIndex> { return std::make_unique<I>(dim); }, \
      help)
