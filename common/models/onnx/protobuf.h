// Protocol Buffers on the wire, as far as an ONNX file needs them: writing messages of numbers, texts and
// other messages. Source: protobuf.dev, "Encoding".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kindred {

/// One message, field after field. A number is a varint, as int32, int64 and enums are.
class ProtoMessage {
 public:
  void number(int field, int64_t value);
  void real(int field, float value);
  void text(int field, std::string_view bytes);
  void message(int field, const ProtoMessage& inner) { text(field, inner.bytes()); }

  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value);

  std::string bytes_;
};

}  // namespace kindred
