// JSON through nlohmann-json, with our errors and limits. Key order is kept, so that written files read well.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>  // in_range
#include <vector>

#include "common/base/error.h"

namespace kindred {

using Json = nlohmann::ordered_json;

/// Throws Error "what:line:column: reason" on bad syntax, and "what: reason" on nesting deeper than 32,
/// objects of more than 16384 members, keys that occur twice and numbers out of range.
Json parse_json(std::string_view text, std::string_view what);

/// The value as text; `indent` -1 puts it on one line. Bytes that are not UTF-8 become U+FFFD: never throws
/// for them.
std::string json_text(const Json& value, int indent = -1);

/// The member `key` of an object as T: bool, an integer, a floating-point number, std::string, std::vector or
/// std::map<std::string, ...> of such, or Json. Numbers are not rounded, cut or turned into text.
/// Throws Error naming `what`, the key, and what was found instead.
template <class T>
T json_get(const Json& object, std::string_view key, std::string_view what);

/// The same, or `otherwise` when the key is absent.
template <class T>
T json_get_or(const Json& object, std::string_view key, T otherwise, std::string_view what);

namespace detail {

/// The member, or null. Throws Error when `object` is not an object.
const Json* json_find(const Json& object, std::string_view key, std::string_view what);
[[noreturn]] void json_wrong_type(const Json& found, std::string_view key, std::string_view what);

template <class T>
struct JsonFits {  // strings, Json: the library's own check is strict
  static bool check(const Json& value) {
    if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
    if constexpr (std::is_floating_point_v<T>) return value.is_number();
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (value.is_number_unsigned()) return std::in_range<T>(value.get<uint64_t>());
      return value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
    }
    return true;
  }
};

template <class T>
struct JsonFits<std::vector<T>> {
  static bool check(const Json& value) {
    if (!value.is_array()) return false;
    for (const Json& element : value) {
      if (!JsonFits<T>::check(element)) return false;
    }
    return true;
  }
};

template <class T>
struct JsonFits<std::map<std::string, T>> {
  static bool check(const Json& value) {
    if (!value.is_object()) return false;
    for (const Json& element : value) {
      if (!JsonFits<T>::check(element)) return false;
    }
    return true;
  }
};

template <class T>
T json_as(const Json& value, std::string_view key, std::string_view what) {
  if (!JsonFits<T>::check(value)) json_wrong_type(value, key, what);
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    json_wrong_type(value, key, what);
  }
}

}  // namespace detail

template <class T>
T json_get(const Json& object, std::string_view key, std::string_view what) {
  const Json* found = detail::json_find(object, key, what);
  if (found == nullptr) fail(what, ": the key '", key, "' is missing");
  return detail::json_as<T>(*found, key, what);
}

template <class T>
T json_get_or(const Json& object, std::string_view key, T otherwise, std::string_view what) {
  const Json* found = detail::json_find(object, key, what);
  return found == nullptr ? std::move(otherwise) : detail::json_as<T>(*found, key, what);
}

}  // namespace kindred
