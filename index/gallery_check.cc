// What may enter a gallery: items and vectors come from other people's files and requests.
#include <cmath>

#include "index/dot.h"
#include "index/gallery.h"

namespace kindred {

namespace {

constexpr size_t kMaxId = 255, kMaxText = 4096, kMaxMetadata = 1 << 20;
constexpr double kNormTolerance = 1e-3;  // bf16 embedders round; anything further off was never normalised

// Bytes of the UTF-8 character that starts at text[i]; 0 when there is none or it is a control character.
// Source: RFC 3629 (no overlong forms, no surrogates, nothing above U+10FFFF).
size_t character_bytes(std::string_view text, size_t i) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
  const unsigned first = byte(i);
  if (first < 0x80) return first < 0x20 || first == 0x7f ? 0 : 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  unsigned code = first & (0x7fu >> length);
  for (size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i + k) & 0x3f);
  }
  constexpr unsigned kLeast[] = {0, 0, 0xa0, 0x800, 0x10000};  // U+0080 to U+009F are control characters
  if (first < 0xc2 || first > 0xf4 || code < kLeast[length] || code > 0x10ffff) return 0;
  return code >= 0xd800 && code <= 0xdfff ? 0 : length;
}

void check_text(std::string_view text, size_t most, std::string_view field) {
  if (text.size() > most) fail(field, " has ", text.size(), " bytes, at most ", most, " are allowed");
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_bytes(text, i);
    if (length == 0) fail(field, " has invalid UTF-8 or a control character at byte ", i);
    i += length;
  }
}

}  // namespace

void check_item(const GalleryItem& item) {
  if (item.id.empty()) fail("an item has an empty id");
  check_text(item.id, kMaxId, "an item's id");
  const std::string where = concat("item '", item.id, "': its ");
  check_text(item.uri, kMaxText, where + "uri");
  check_text(item.label, kMaxId, where + "label");
  check_text(item.content_hash, kMaxId, where + "content hash");
  if (!item.metadata.is_null() && !item.metadata.is_object())
    fail(where, "metadata is ", item.metadata.type_name(), ", expected an object or null");
  std::string metadata;
  try {
    metadata = item.metadata.dump();
  } catch (const Json::exception&) {
    fail(where, "metadata has invalid UTF-8");
  }
  if (metadata.size() > kMaxMetadata)
    fail(where, "metadata has ", metadata.size(), " bytes as JSON, at most ", kMaxMetadata, " are allowed");
  parse_json(metadata, where + "metadata");  // what is stored must be readable again: depth, numbers
}

void check_unit_rows(std::span<const float> vectors, int dim, std::string_view what) {
  const auto length = static_cast<size_t>(dim);
  if (vectors.size() % length != 0)
    fail(what, ": ", vectors.size(), " numbers are no whole vectors of ", dim, " numbers each");
  for (size_t row = 0; row < vectors.size() / length; ++row) {
    const float* vector = vectors.data() + row * length;
    const double norm = std::sqrt(double{dot(vector, vector, dim)});
    if (!(std::abs(norm - 1) <= kNormTolerance))  // also when the norm is not a number
      fail(what, ": vector ", row, " has length ", norm, ", expected 1");
  }
}

}  // namespace kindred
