#include "common/models/onnx/protobuf.h"

#include <cstring>

namespace kindred {

namespace {

enum Wire : uint8_t { kVarint = 0, kLength = 2, kFixed32 = 5 };

uint64_t tag(int field, Wire wire) { return static_cast<uint64_t>(field) << 3 | wire; }

}  // namespace

void ProtoMessage::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
  bytes_ += static_cast<char>(value);
}

void ProtoMessage::number(int field, int64_t value) {
  varint(tag(field, kVarint));
  varint(static_cast<uint64_t>(value));
}

void ProtoMessage::real(int field, float value) {
  varint(tag(field, kFixed32));
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes_.append(raw, sizeof raw);
}

void ProtoMessage::text(int field, std::string_view bytes) {
  varint(tag(field, kLength));
  varint(bytes.size());
  bytes_ += bytes;
}

}  // namespace kindred
