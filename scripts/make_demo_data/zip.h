// Reading files inside a zip archive, in place: stored and deflated members, no zip64, no encryption.
// Source: PKWARE APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12, 4.3.16.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/io/file.h"

namespace kindred {

class ZipArchive {
 public:
  /// Throws Error when the file is no zip archive or its directory is damaged.
  explicit ZipArchive(const std::string& path);

  struct Member {
    uint64_t header = 0;  // where it lies
    uint64_t packed_bytes = 0, bytes = 0;
    int method = 0;
  };
  /// By name, sorted. Folders are not listed.
  const std::map<std::string, Member>& members() const { return members_; }

  /// The unpacked content. Throws Error: damaged data, an unknown method, more than 64 MiB.
  std::string read(const Member& member) const;

 private:
  uint64_t number(uint64_t at, size_t bytes) const;

  std::string path_;
  MappedFile file_;
  std::map<std::string, Member> members_;
};

}  // namespace kindred
