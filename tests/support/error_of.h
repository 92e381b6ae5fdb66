// What a call that must fail says. In a header alone, so that every test program has it.
#pragma once

#include <string>

#include "common/base/error.h"

namespace kindred::test {

/// The message of the Error that f() throws, or "no error".
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace kindred::test
