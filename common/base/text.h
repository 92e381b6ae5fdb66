// Small text helpers: joining values into messages, splitting, and "did you mean".
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kindred {

namespace detail {
void append(std::string& out, std::string_view part);
void append(std::string& out, char part);
void append(std::string& out, bool part);
void append(std::string& out, double part);
void append(std::string& out, long long part);
void append(std::string& out, unsigned long long part);
inline void append(std::string& out, const char* part) { append(out, std::string_view(part)); }
inline void append(std::string& out, const std::string& part) { append(out, std::string_view(part)); }
inline void append(std::string& out, float part) { append(out, static_cast<double>(part)); }
template <std::signed_integral T>
void append(std::string& out, T part) {
  append(out, static_cast<long long>(part));
}
template <std::unsigned_integral T>
void append(std::string& out, T part) {
  append(out, static_cast<unsigned long long>(part));
}
template <class T>
requires requires(const T& value) {
  { value.text() } -> std::convertible_to<std::string>;
}
void append(std::string& out, const T& part) { out += part.text(); }
}  // namespace detail

/// Joins strings, characters, numbers (shortest form that reads back) and anything with `text()`.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// "a, b, c"
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");

/// Pieces between separators; "a,,b" has three. An empty text has none.
std::vector<std::string> split(std::string_view text, char separator);

/// Pieces between runs of white space, never empty.
std::vector<std::string> split_words(std::string_view text);

std::string_view trim(std::string_view text);

/// The whole text as a number. Throws Error naming `what` on anything else (trailing text, overflow, not
/// finite).
int64_t parse_int(std::string_view text, std::string_view what);
double parse_double(std::string_view text, std::string_view what);

/// A number with a fixed count of decimals: fixed(0.5, 3) is "0.500".
std::string fixed(double value, int decimals);

/// 1536 -> "1.5 KiB".
std::string bytes_text(int64_t bytes);

/// Seconds as "42s", "3m05s" or "2h07m".
std::string duration_text(double seconds);

/// The known name nearest to `name` by edit distance, or "" when none is near enough to be a typing error.
std::string nearest_name(std::string_view name, std::span<const std::string> known);

/// "unknown loss 'tripplet'; did you mean 'triplet'? (known: arcface, triplet, ...)"
std::string unknown_name_text(std::string_view kind, std::string_view name,
                              std::span<const std::string> known);

}  // namespace kindred
