// TensorBoard event files: scalars by step.
// Source: tensorflow/core/lib/io/record_writer.h (framing, masked CRC-32C), core/util/event.proto and
// core/framework/summary.proto (the few fields that scalars need, encoded by hand).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kindred {

struct Scalar {
  std::string tag;  // "train/loss"
  float value = 0;
};

/// The scalars that one record carries.
struct ScalarEvent {
  int64_t step = 0;
  double wall_time = 0;  // seconds since 1970
  std::vector<Scalar> scalars;
};

/// One event file, open for appending. Each event is one write to the file, so that a kill leaves at most one
/// torn record at its end.
class EventFile {
 public:
  /// Opens or creates `folder`/events.out.tfevents.kindred. From an old file everything behind the last whole
  /// record, and from the first record with a step above `last_step` on, is cut off: a resumed run writes
  /// these steps again. Throws Error when the file cannot be opened or is no event file.
  explicit EventFile(const std::string& folder, int64_t last_step = std::numeric_limits<int64_t>::max());
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Appends the scalars of one step, with the present time. Throws Error (disk full and such).
  void write(int64_t step, std::span<const Scalar> scalars);

 private:
  std::string path_;
  int fd_ = -1;
};

/// The events of a file's content in order, up to the first record that is torn or damaged.
std::vector<ScalarEvent> parse_events(std::string_view content);

}  // namespace kindred
