#include "scripts/make_demo_data/zip.h"

#include <zlib.h>

#include "common/base/error.h"

namespace kindred {
namespace {

constexpr uint64_t kEndBytes = 22, kEntryBytes = 46, kHeaderBytes = 30;
constexpr uint64_t kMaxMemberBytes = uint64_t{64} << 20;
constexpr int kStored = 0, kDeflated = 8;

}  // namespace

/// Little-endian. Throws Error outside the file.
uint64_t ZipArchive::number(uint64_t at, size_t bytes) const {
  const std::string_view all = file_.bytes();
  if (at > all.size() || bytes > all.size() - at) fail(path_, ": damaged zip archive: it ends too early");
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(all[at + i]);
  return value;
}

ZipArchive::ZipArchive(const std::string& path) : path_(path), file_(path) {
  const std::string_view all = file_.bytes();
  const size_t end = all.rfind("PK\x05\x06");
  if (end == all.npos || all.size() - end < kEndBytes) fail(path, ": not a zip archive");
  const uint64_t count = number(end + 10, 2);
  uint64_t at = number(end + 16, 4);
  for (uint64_t i = 0; i < count; ++i) {
    if (number(at, 4) != 0x02014b50)
      fail(path, ": damaged zip archive: entry ", i, " of its directory has no mark");
    const Member member{number(at + 42, 4), number(at + 20, 4), number(at + 24, 4),
                        static_cast<int>(number(at + 10, 2))};
    const uint64_t name_bytes = number(at + 28, 2), extra_bytes = number(at + 30, 2),
                   comment_bytes = number(at + 32, 2);
    number(at + kEntryBytes + name_bytes, 0);  // the name lies inside the file
    const std::string name(all.substr(at + kEntryBytes, name_bytes));
    if (!name.ends_with('/')) members_.emplace(name, member);
    at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
  }
}

std::string ZipArchive::read(const Member& member) const {
  if (number(member.header, 4) != 0x04034b50) fail(path_, ": damaged zip archive: a member has no mark");
  const uint64_t begin =
      member.header + kHeaderBytes + number(member.header + 26, 2) + number(member.header + 28, 2);
  number(begin + member.packed_bytes, 0);  // the content lies inside the file
  const std::string_view packed = file_.bytes().substr(begin, member.packed_bytes);
  if (member.bytes > kMaxMemberBytes)
    fail(path_, ": a member has ", member.bytes, " bytes; at most ", kMaxMemberBytes);
  if (member.method != kStored && member.method != kDeflated) {
    fail(path_, ": a member is packed by method ", member.method, "; expected 0 or 8");
  }
  if (member.method == kStored) {
    if (member.bytes != member.packed_bytes)
      fail(path_, ": damaged zip archive: a stored member has two sizes");
    return std::string(packed);
  }

  std::string content(member.bytes, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail(path_, ": zlib cannot be started");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(content.data());
  stream.avail_out = static_cast<uInt>(content.size());
  const int status = inflate(&stream, Z_FINISH);
  const bool complete = status == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!complete) fail(path_, ": damaged zip archive: a member cannot be unpacked");
  return content;
}

}  // namespace kindred
