#include "common/base/log.h"

#include <unistd.h>

#include <atomic>

namespace kindred {

namespace {
std::atomic<LogLevel> minimum{LogLevel::info};
std::string& prefix() {
  static std::string text;
  return text;
}
}  // namespace

void set_log_level(LogLevel level) { minimum = level; }
void set_log_prefix(std::string text) { prefix() = std::move(text); }

void log_line(LogLevel level, std::string_view text) {
  if (level < minimum) return;
  std::string line;
  if (!prefix().empty()) line = concat("[", prefix(), "] ");
  if (level == LogLevel::warning) line += "warning: ";
  if (level == LogLevel::error) line += "error: ";
  line += text;
  line += '\n';
  for (size_t done = 0; done < line.size();) {  // a lost log line is not worth failing for
    const ssize_t n = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

}  // namespace kindred
