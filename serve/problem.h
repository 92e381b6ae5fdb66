// An error as the daemon answers it. Source: RFC 9457 (application/problem+json).
#pragma once

#include <string>
#include <utility>

#include "common/base/json.h"

namespace kindred {

/// An Error with an HTTP status and a stable name for programs, such as "undecodable-image".
class Problem : public Error {
 public:
  template <class... Parts>
  Problem(int status, std::string type, const Parts&... detail)
      : Error(concat(detail...)), status_(status), type_(std::move(type)) {}

  int status() const { return status_; }
  const std::string& type() const { return type_; }

  /// {"type": "urn:kindred:undecodable-image", "title": "undecodable image", "status": 422, "detail": "..."}
  Json to_json() const;
  /// The other direction, for clients; an answer of another form becomes a problem of the given status.
  static Problem from_json(const Json& json, int status);

 private:
  int status_;
  std::string type_;
};

}  // namespace kindred
