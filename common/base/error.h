// Errors. `Error` is what a user, a file, a peer or a machine did; KINDRED_ASSERT is for what only our own
// bug can cause, and nothing reachable from outside may trip it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "common/base/text.h"

namespace kindred {

/// Something outside this program went wrong; the message says where, what was found, what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The command line or a config file was wrong: mains print it and exit with code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws Error with the parts joined as `concat` joins them.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(concat(parts...));
}

/// Throws UsageError with the parts joined as `concat` joins them.
template <class... Parts>
[[noreturn]] void fail_usage(const Parts&... parts) {
  throw UsageError(concat(parts...));
}

/// Throws Error naming `subject` and the operating system's reason (errno) for a failed call.
[[noreturn]] void fail_errno(std::string_view subject, std::string_view call);

namespace detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

}  // namespace kindred

#define KINDRED_ASSERT(condition) \
  ((condition) ? void(0) : ::kindred::detail::assertion_failed(#condition, __FILE__, __LINE__))
