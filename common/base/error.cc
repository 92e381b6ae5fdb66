#include "common/base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kindred {

void fail_errno(std::string_view subject, std::string_view call) {
  const int code = errno;
  fail(subject, ": ", call, " failed: ", std::strerror(code));
}

namespace detail {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s (this is a bug in Kindred, please report it)\n", file,
               line, condition);
  std::abort();
}

}  // namespace detail
}  // namespace kindred
