// How far a long job is: one line redrawn in place on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace kindred {

/// "embedding: 1200/5000 images (24%), 310 images/s, 12s left, loss 0.31". A rate of 0 is not shown; nor is
/// the time left once done; a total of 0 stands for "unknown".
std::string progress_text(std::string_view what, std::string_view unit, int64_t done, int64_t total,
                          double rate, std::string_view note);

/// Reports on standard error. Safe from several threads.
class Progress {
 public:
  /// `what` is the job ("embedding"), `unit` what is counted ("images"). `done` of `total` were there before
  /// we began: they do not count for the rate.
  Progress(std::string what, std::string unit, int64_t total, int64_t done = 0);
  /// Ends the line on a terminal, so that whatever comes next starts on a fresh one.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `count` more are done. `note` follows the time left ("loss 0.31"); the last one given is shown.
  void advance(int64_t count, std::string_view note = {});
  /// Shows the final state, with the mean rate of the whole job. Call once, when the job went well.
  void finish(std::string_view note = {});
  /// Wipes the line from a terminal so that a log line can be written; the next `advance` draws it again.
  void hide();

  /// Units per second, the last ten seconds weighing most; 0 before the first one.
  double rate() const;

 private:
  using Clock = std::chrono::steady_clock;

  void show(double rate);

  const std::string what_, unit_;
  const int64_t total_, first_;
  const bool terminal_;
  const Clock::time_point start_;
  mutable std::mutex mutex_;
  int64_t done_;
  std::string note_;
  double rate_ = 0;
  int64_t rated_;  // units already in rate_
  Clock::time_point rated_at_, shown_at_;
  bool line_open_ = false;  // a terminal line waits for its end
};

}  // namespace kindred
