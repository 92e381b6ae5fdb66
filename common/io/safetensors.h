// The safetensors format: 8 bytes little-endian header length, a JSON header, raw tensors.
// Source: the format page of huggingface/safetensors (limits: header at most 100 MB, no overlaps, no holes).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/tensor.h"

namespace kindred {

struct TensorEntry {
  std::string name;
  DType dtype;
  Shape shape;
  std::string_view bytes;  // into the mapped file, or the caller's memory
};

/// A file mapped for reading. Views live as long as the object.
class SafetensorsFile {
 public:
  /// Checks everything: lengths, offsets, overlaps, types, shapes. Throws Error naming the file and the
  /// fault.
  static SafetensorsFile open(const std::string& path);
  /// The same over bytes in memory, which must outlive the object; for tests and fuzzing.
  static SafetensorsFile parse(std::string_view bytes, const std::string& name);

  const std::vector<TensorEntry>& tensors() const { return tensors_; }  // in file order
  const TensorEntry* find(std::string_view name) const;                 // null when absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::shared_ptr<const void> mapping_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Writes atomically (temporary name, fsync, rename). Throws Error; an old file of that name survives a
/// failure.
void write_safetensors(const std::string& path, const std::vector<TensorEntry>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace kindred
