// Tells a run that has collapsed: all embeddings have become one, and no gradient leads out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/options.h"
#include "trainer/train/run_log.h"

namespace kindred {

/// 1 - cosine, mean over all pairs of unit rows [n, D], a row with itself included. Waits for the stream.
double embedding_spread(Stream& stream, const Tensor& rows);

class CollapseAlarm {
 public:
  /// train.alarm_steps and train.alarm_spread.
  static void declare(Options& options);

  /// collapse_values: Loss::collapse_value of each loss, in the order of StepRecord::parts.
  CollapseAlarm(const Options& options, std::vector<double> collapse_values);

  /// The warning to print, once the embeddings' spread has been below the bound, or a loss within 1 % of its
  /// collapse value, for train.alarm_steps steps on end; again only after it got out and in once more.
  std::optional<std::string> look(const StepRecord& record);

 private:
  const int64_t steps_;
  const double least_spread_;
  const std::vector<double> collapse_values_;
  std::vector<int64_t> parked_;  // for how many steps each loss has been
  int64_t narrow_ = 0;           // for how many steps the spread has been below the bound
};

}  // namespace kindred
