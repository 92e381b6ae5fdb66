#include "common/io/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "common/base/error.h"
#include "common/io/file.h"

namespace kindred {

static_assert(std::endian::native == std::endian::little, "'<' in a type name means little-endian");

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::pair<DType, std::string_view> kTypes[] = {
    {DType::f32, "<f4"}, {DType::i32, "<i4"}, {DType::i64, "<i8"}, {DType::u8, "|u1"}};

struct Header {
  std::string type;
  std::vector<int64_t> shape;
  bool fortran_order = false;
};

// Reads the one-line Python dictionary of a header, such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 224), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  Header parse() {
    std::optional<std::string> type;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !type) {
        type = quoted();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail(name_, ": unexpected key '", key, "' in the .npy header");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) broken();
    if (!type || !fortran_order || !shape) {
      fail(name_, ": the .npy header needs 'descr', 'fortran_order' and 'shape'");
    }
    return {*type, *shape, *fortran_order};
  }

 private:
  [[noreturn]] void broken() const {
    fail(name_, ": the .npy header is malformed at '", text_.substr(0, 20), "'");
  }

  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

  bool take(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!take(c)) broken();
  }

  bool take_word(std::string_view word) {
    skip_space();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  std::string quoted() {
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'') expect(quote);
    const size_t end = text_.find(quote);
    if (end == std::string_view::npos) broken();
    std::string out(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return out;
  }

  bool boolean() {
    if (take_word("True")) return true;
    if (!take_word("False")) broken();
    return false;
  }

  // "()", "(5,)", "(3, 224)"
  std::vector<int64_t> tuple() {
    std::vector<int64_t> out;
    expect('(');
    while (!take(')')) {
      skip_space();
      int64_t value = 0;
      const auto result = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (result.ec != std::errc() || value < 0) broken();
      text_.remove_prefix(static_cast<size_t>(result.ptr - text_.data()));
      out.push_back(value);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return out;
  }

  std::string_view text_, name_;
};

DType parse_type(const std::string& text, std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [type, code] : kTypes) {
    if (text == code) return type;
    known.emplace_back(code);
  }
  fail(name, ": arrays of type '", text, "' are not read here (known: ", join(known),
       "); convert it with astype");
}

// Takes a little-endian unsigned number of `bytes` bytes off the front.
uint64_t take_number(std::string_view& text, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, text.data(), bytes);
  text.remove_prefix(bytes);
  return value;
}

}  // namespace

Tensor parse_npy(std::string_view bytes, std::string_view name) {
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 2) fail(name, ": is not a .npy file");
  bytes.remove_prefix(kMagic.size());
  const uint64_t major = take_number(bytes, 1);
  take_number(bytes, 1);  // no minor version has meant anything yet
  if (major < 1 || major > 3) fail(name, ": .npy version ", major, ", expected 1, 2 or 3");
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (bytes.size() < length_bytes) fail(name, ": the .npy header is cut off");
  const uint64_t length = take_number(bytes, length_bytes);
  if (length > bytes.size()) fail(name, ": the .npy header is cut off");
  const Header header = HeaderParser(bytes.substr(0, length), name).parse();
  const std::string_view data = bytes.substr(length);

  if (header.fortran_order && header.shape.size() > 1) {
    fail(name, ": the array is in Fortran order; save numpy.ascontiguousarray of it");
  }
  const DType type = parse_type(header.type, name);
  if (header.shape.size() > Shape::kMaxRank) {
    fail(name, ": an array of ", header.shape.size(), " dimensions, expected at most ", Shape::kMaxRank);
  }
  int64_t needed = dtype_bytes(type);
  for (const int64_t dim : header.shape) {
    if (__builtin_mul_overflow(needed, dim, &needed)) fail(name, ": the shape of the array is too large");
  }
  if (static_cast<uint64_t>(needed) != data.size()) {
    fail(name, ": holds ", data.size(), " bytes of data, the header needs ", needed);
  }
  Tensor array(Shape(std::span(header.shape)), type);
  if (needed > 0) std::memcpy(array.raw(), data.data(), data.size());
  return array;
}

Tensor read_npy(const std::string& path) { return parse_npy(read_file(path), path); }

void write_npy(const std::string& path, const Tensor& array) {
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](auto& row) { return row.first == array.dtype(); });
  KINDRED_ASSERT(type != std::end(kTypes) && array.device().type == Device::cpu);
  std::string
      shape;  // "5, " or "3, 224, ": Python takes a comma at the end, and needs it after a single number
  for (int i = 0; i < array.shape().rank(); ++i) shape += concat(array.shape()[i], ", ");
  std::string header =
      concat("{'descr': '", type->second, "', 'fortran_order': False, 'shape': (", shape, "), }");
  constexpr size_t kLead = kMagic.size() + 4, kAlign = 64;  // the data begins on a multiple of 64 bytes
  header.resize((kLead + header.size() + 1 + kAlign - 1) / kAlign * kAlign - kLead, ' ');
  header.back() = '\n';
  const auto length = static_cast<uint16_t>(header.size());

  AtomicFile file(path);
  file.write(kMagic);
  file.write(std::string_view("\x01\x00", 2));
  file.write(&length, sizeof length);
  file.write(header);
  if (array.bytes() > 0) file.write(array.raw(), static_cast<size_t>(array.bytes()));
  file.commit();
}

}  // namespace kindred
