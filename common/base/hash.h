// Hashes: SHA-256 for content (by OpenSSL), FNV-1a for names, CRC-32C for TensorBoard records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace kindred {

/// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(const void* data, size_t bytes);
  /// 64 lower-case hex digits. Call once, at the end.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);

/// Of a whole file, read in pieces. Throws Error when it cannot be read.
std::string sha256_file(const std::string& path);

/// FNV-1a, 32 and 64 bit. Source: Fowler, Noll, Vo; constants of draft-eastlake-fnv.
constexpr uint32_t fnv1a32(std::string_view text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}
constexpr uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

/// CRC-32C (Castagnoli), as TFRecord files carry it.
uint32_t crc32c(std::string_view bytes);

}  // namespace kindred
