#include "common/io/tfevents.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/io/file.h"

namespace kindred {

static_assert(std::endian::native == std::endian::little,
              "record framing and protobuf numbers are little-endian");

namespace {

// Field numbers of event.proto and summary.proto.
constexpr int kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5;
constexpr int kSummaryValue = 1;
constexpr int kValueTag = 1, kValueSimple = 2;
// Protobuf wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

constexpr size_t kHead = 12, kTail = 4;  // length and its checksum; checksum of the data

// TFRecord stores checksums rotated and shifted, so that a checksum over checksums is not weak.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, int field, int wire) {
  put_varint(out, static_cast<uint64_t>(field << 3 | wire));
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string record(std::string_view data) {
  std::string out;
  put(out, uint64_t{data.size()});
  put(out, masked_crc(out));
  out += data;
  put(out, masked_crc(data));
  return out;
}

std::string event_head(int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string out;
  put_key(out, kEventWallTime, kFixed64);
  put(out, now.count());
  put_key(out, kEventStep, kVarint);
  put_varint(out, static_cast<uint64_t>(step));
  return out;
}

// One field of a protobuf message: a number, or bytes.
struct Field {
  int number = 0, wire = 0;
  uint64_t value = 0;
  std::string_view bytes;
};

template <class T>
std::optional<T> take(std::string_view& text) {
  if (text.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, text.data(), sizeof value);
  text.remove_prefix(sizeof value);
  return value;
}

std::optional<uint64_t> take_varint(std::string_view& text) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = take<uint8_t>(text);
    if (!byte) return std::nullopt;
    value |= uint64_t{*byte & 0x7fu} << shift;
    if (*byte < 0x80) return value;
  }
  return std::nullopt;
}

// Takes a field off the front; nothing when the message is broken.
std::optional<Field> take_field(std::string_view& text) {
  const auto key = take_varint(text);
  if (!key || *key > UINT32_MAX) return std::nullopt;
  Field field{
      .number = static_cast<int>(*key >> 3), .wire = static_cast<int>(*key & 7), .value = 0, .bytes = {}};
  std::optional<uint64_t> value;
  if (field.wire == kFixed64) {
    value = take<uint64_t>(text);
  } else if (field.wire == kFixed32) {
    value = take<uint32_t>(text);
  } else if (field.wire == kVarint || field.wire == kBytes) {
    value = take_varint(text);
  }
  if (!value) return std::nullopt;
  field.value = *value;
  if (field.wire == kBytes) {
    if (*value > text.size()) return std::nullopt;
    field.bytes = text.substr(0, *value);
    text.remove_prefix(*value);
  }
  return field;
}

// Calls f(field) for all of them; false when the message is broken.
template <class F>
bool each_field(std::string_view message, F f) {
  while (!message.empty()) {
    const auto field = take_field(message);
    if (!field || !f(*field)) return false;
  }
  return true;
}

std::optional<ScalarEvent> parse_event(std::string_view message) {
  ScalarEvent event;
  const auto read_value = [&](const Field& value) {
    if (value.number != kSummaryValue || value.wire != kBytes) return true;
    Scalar scalar;
    bool simple = false;
    const bool whole = each_field(value.bytes, [&](const Field& field) {
      if (field.number == kValueTag && field.wire == kBytes) scalar.tag = field.bytes;
      if (field.number == kValueSimple && field.wire == kFixed32) {
        scalar.value = std::bit_cast<float>(static_cast<uint32_t>(field.value));
        simple = true;
      }
      return true;
    });
    if (simple) event.scalars.push_back(std::move(scalar));
    return whole;
  };
  const bool whole = each_field(message, [&](const Field& field) {
    if (field.number == kEventWallTime && field.wire == kFixed64)
      event.wall_time = std::bit_cast<double>(field.value);
    if (field.number == kEventStep && field.wire == kVarint) event.step = static_cast<int64_t>(field.value);
    if (field.number == kEventSummary && field.wire == kBytes) return each_field(field.bytes, read_value);
    return true;
  });
  if (!whole) return std::nullopt;
  return event;
}

// Takes the event of a whole, undamaged record off the front.
std::optional<ScalarEvent> take_event(std::string_view& text) {
  if (text.size() < kHead + kTail) return std::nullopt;
  std::string_view rest = text;
  const auto length = take<uint64_t>(rest);
  const auto length_crc = take<uint32_t>(rest);
  if (masked_crc(text.substr(0, 8)) != *length_crc || *length > rest.size() - kTail) return std::nullopt;
  const std::string_view data = rest.substr(0, *length);
  rest.remove_prefix(*length);
  if (take<uint32_t>(rest) != masked_crc(data)) return std::nullopt;
  auto event = parse_event(data);
  if (event) text = rest;
  return event;
}

void write_all(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_errno(path, "write");
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

}  // namespace

std::vector<ScalarEvent> parse_events(std::string_view content) {
  std::vector<ScalarEvent> events;
  while (auto event = take_event(content)) {
    if (!event->scalars.empty()) events.push_back(std::move(*event));
  }
  return events;
}

EventFile::EventFile(const std::string& folder, int64_t last_step)
    : path_(folder + "/events.out.tfevents.kindred") {
  std::error_code ignored;
  const std::string old = std::filesystem::exists(path_, ignored) ? read_file(path_) : "";
  std::string_view rest = old;
  size_t kept = 0;
  for (auto event = take_event(rest); event && event->step <= last_step; event = take_event(rest)) {
    kept = old.size() - rest.size();
  }
  // A torn first record is the trace of a kill; a longer file without one good record is something else.
  if (kept == 0 && old.size() > 64 && last_step >= 0) fail(path_, ": is not a TensorBoard event file");

  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno(path_, "open");
  try {
    if (::ftruncate(fd_, static_cast<off_t>(kept)) != 0) fail_errno(path_, "truncate");
    if (kept == 0) {
      std::string version = event_head(0);
      put_bytes(version, kEventFileVersion, "brain.Event:2");
      write_all(fd_, path_, record(version));
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EventFile::~EventFile() { ::close(fd_); }

void EventFile::write(int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    put_bytes(value, kValueTag, scalar.tag);
    put_key(value, kValueSimple, kFixed32);
    put(value, scalar.value);
    put_bytes(summary, kSummaryValue, value);
  }
  std::string event = event_head(step);
  put_bytes(event, kEventSummary, summary);
  write_all(fd_, path_, record(event));
}

}  // namespace kindred
