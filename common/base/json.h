// JSON through nlohmann-json, with our errors and limits. Key order is kept, so that written files read well.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace kindred {

using Json = nlohmann::ordered_json;

/// Throws Error "what:line:column: reason" on bad syntax, on nesting deeper than 32 and on numbers out of range.
Json parse_json(std::string_view text, std::string_view what);

/// The member `key` of an object as T. Throws Error naming `what`, the key, and what was found instead.
template <class T>
T json_get(const Json& object, std::string_view key, std::string_view what);

}  // namespace kindred

#include "common/base/error.h"

namespace kindred {

template <class T>
T json_get(const Json& object, std::string_view key, std::string_view what) {
  if (!object.is_object()) fail(what, ": expected a JSON object, found ", object.type_name());
  const auto found = object.find(std::string(key));
  if (found == object.end()) fail(what, ": the key '", key, "' is missing");
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(what, ": the key '", key, "' has an unexpected value ", found->dump().substr(0, 80));
  }
}

}  // namespace kindred
