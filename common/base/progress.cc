#include "common/base/progress.h"

#include <unistd.h>

#include <cmath>

#include "common/base/log.h"

namespace kindred {

namespace {

constexpr double kTerminalSeconds = 0.1;  // as often as an eye can follow
constexpr double kPlainSeconds = 10;      // log files stay short
constexpr double kMemorySeconds = 10;     // of the moving rate

double seconds(std::chrono::steady_clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

void write_terminal(const std::string& text) {
  // A progress line that cannot be written is no reason to stop the job.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

std::string progress_text(std::string_view what, std::string_view unit, int64_t done, int64_t total,
                          double rate, std::string_view note) {
  std::string text = concat(what, ": ", done);
  if (total > 0) text += concat("/", total);
  text += concat(" ", unit);
  if (total > 0) text += concat(" (", 100 * done / total, "%)");
  if (rate > 0) text += concat(", ", fixed(rate, rate < 10 ? 2 : rate < 100 ? 1 : 0), " ", unit, "/s");
  if (rate > 0 && done < total)
    text += concat(", ", duration_text(static_cast<double>(total - done) / rate), " left");
  if (!note.empty()) text += concat(", ", note);
  return text;
}

Progress::Progress(std::string what, std::string unit, int64_t total, int64_t done)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      first_(done),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      done_(done),
      rated_(done),
      rated_at_(start_),
      shown_at_(start_) {}

Progress::~Progress() {
  if (line_open_) write_terminal("\n");
}

void Progress::advance(int64_t count, std::string_view note) {
  const std::lock_guard lock(mutex_);
  done_ += count;
  if (!note.empty()) note_ = note;
  const Clock::time_point now = Clock::now();
  const double since = seconds(now - rated_at_);
  if (since >= kTerminalSeconds) {
    const double latest = static_cast<double>(done_ - rated_) / since;
    rate_ = rate_ == 0 ? latest : rate_ + (latest - rate_) * (1 - std::exp(-since / kMemorySeconds));
    rated_ = done_;
    rated_at_ = now;
  }
  if (seconds(now - shown_at_) >= (terminal_ ? kTerminalSeconds : kPlainSeconds)) show(rate_);
}

void Progress::finish(std::string_view note) {
  const std::lock_guard lock(mutex_);
  if (!note.empty()) note_ = note;
  const double whole = seconds(Clock::now() - start_);
  show(whole > 0 ? static_cast<double>(done_ - first_) / whole : 0);
}

void Progress::hide() {
  const std::lock_guard lock(mutex_);
  if (line_open_) write_terminal("\r\x1b[K");
  line_open_ = false;
}

double Progress::rate() const {
  const std::lock_guard lock(mutex_);
  return rate_;
}

void Progress::show(double rate) {
  shown_at_ = Clock::now();
  const std::string text = progress_text(what_, unit_, done_, total_, rate, note_);
  if (!terminal_) return log_info(text);
  write_terminal(concat("\r\x1b[K", text));
  line_open_ = true;
}

}  // namespace kindred
