// The learning rate of a step: warm-up, then cosine, constant or steps.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/options.h"

namespace kindred {

class Schedule {
 public:
  /// Options train.lr, train.schedule (cosine, constant, step), train.warmup_epochs, train.warmup_start,
  /// train.lr_min, train.lr_steps, train.lr_decay.
  static void declare(Options& options);
  Schedule(const Options& options, int64_t steps_per_epoch, int64_t total_steps);
  /// Per step, counted from 0. A pure function.
  double learning_rate(int64_t step) const;

 private:
  enum class Kind { cosine, constant, step } kind_;
  double base_, minimum_, warmup_start_, decay_;
  int64_t warmup_steps_, total_steps_;
  std::vector<int64_t> milestones_;
};

}  // namespace kindred
