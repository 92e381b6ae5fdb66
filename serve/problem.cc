#include "serve/problem.h"

#include <algorithm>

namespace kindred {

namespace {
constexpr std::string_view kUrn = "urn:kindred:";
}

Json Problem::to_json() const {
  std::string title = type_;
  std::replace(title.begin(), title.end(), '-', ' ');
  return {{"type", concat(kUrn, type_)}, {"title", title}, {"status", status_}, {"detail", what()}};
}

Problem Problem::from_json(const Json& json, int status) {
  try {
    std::string type = json_get<std::string>(json, "type", "problem");
    if (type.starts_with(kUrn)) type.erase(0, kUrn.size());
    return Problem(json_get<int>(json, "status", "problem"), type,
                   json_get<std::string>(json, "detail", "problem"));
  } catch (const Error&) {
    return Problem(status, "http-error", "the server answered with status ", status);
  }
}

}  // namespace kindred
