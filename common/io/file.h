// Files: whole reads, mappings, and writes that are all or nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kindred {

/// The whole content. Throws Error: missing, a directory, larger than `max_bytes`.
std::string read_file(const std::string& path, int64_t max_bytes = int64_t{1} << 32);

/// A read-only mapping; the view lives as long as the object.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

/// A file that appears under its name only when `commit` was called and everything is on disk: temporary name
/// in the same folder, fsync, rename, fsync of the folder. Without commit nothing is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Throws Error (disk full and such).
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
};

/// AtomicFile in one call.
void write_file(const std::string& path, std::string_view content);

/// fsync of a folder, so that a rename inside it is durable.
void sync_folder(const std::string& path);

}  // namespace kindred
