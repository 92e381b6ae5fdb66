// Reads protobuf messages back, field by field, to check what the ONNX writer wrote.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace kindred::test {

/// One message: its fields in order, a length-delimited one as bytes, any other as a number.
class Proto {
 public:
  struct Field {
    int number = 0;
    uint64_t value = 0;
    std::string_view bytes;
  };

  /// Throws Error on what is no message.
  explicit Proto(std::string_view bytes) : rest_(bytes) {
    while (!rest_.empty()) {
      const uint64_t tag = varint();
      Field field{.number = static_cast<int>(tag >> 3), .bytes = {}};
      if (tag % 8 == 0) {
        field.value = varint();
      } else if (tag % 8 == 2) {
        field.bytes = take(varint());
      } else if (tag % 8 == 5) {
        std::memcpy(&field.value, take(4).data(), 4);
      } else {
        fail("wire type ", tag % 8);
      }
      fields_.push_back(field);
    }
  }

  std::vector<Field> all(int number) const {
    std::vector<Field> found;
    for (const Field& field : fields_)
      if (field.number == number) found.push_back(field);
    return found;
  }
  /// The only field of that number. Throws Error when there are none or several.
  Field one(int number) const {
    const auto found = all(number);
    if (found.size() != 1) fail(found.size(), " fields ", number);
    return found[0];
  }
  std::string text(int number) const { return std::string(one(number).bytes); }
  Proto message(int number) const { return Proto(one(number).bytes); }
  std::vector<Proto> messages(int number) const {
    std::vector<Proto> found;
    for (const Field& field : all(number)) found.emplace_back(field.bytes);
    return found;
  }
  std::vector<std::string> texts(int number) const {
    std::vector<std::string> found;
    for (const Field& field : all(number)) found.emplace_back(field.bytes);
    return found;
  }
  std::vector<int64_t> numbers(int number) const {
    std::vector<int64_t> found;
    for (const Field& field : all(number)) found.push_back(static_cast<int64_t>(field.value));
    return found;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number without an end");
  }
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) fail("the message is cut off");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  std::vector<Field> fields_;
};

}  // namespace kindred::test
