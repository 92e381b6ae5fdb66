// Log lines for people, on standard error. Libraries report through here and never print on their own.
#pragma once

#include <string>

#include "common/base/text.h"

namespace kindred {

enum class LogLevel { debug, info, warning, error };

/// Lines below `level` are dropped. Default: info.
void set_log_level(LogLevel level);

/// A word put in front of every line, such as "rank 1"; "" for none. Set once at start.
void set_log_prefix(std::string prefix);

/// Writes one line in one system call, so that lines of several threads and ranks do not mix.
void log_line(LogLevel level, std::string_view text);

template <class... Parts>
void log_debug(const Parts&... parts) {
  log_line(LogLevel::debug, concat(parts...));
}
template <class... Parts>
void log_info(const Parts&... parts) {
  log_line(LogLevel::info, concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log_line(LogLevel::warning, concat(parts...));
}
template <class... Parts>
void log_error(const Parts&... parts) {
  log_line(LogLevel::error, concat(parts...));
}

}  // namespace kindred
