// What a run tells: a progress line and report.html for people, metrics.jsonl for programs, event files for
// TensorBoard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/losses/loss.h"
#include "trainer/train/evaluation.h"

namespace kindred {

/// One optimiser step, as the log sees it.
struct StepRecord {
  int64_t step = 0;                                   // steps done, this one included
  double epoch = 0;                                   // passes done, with fraction
  LossValue value;                                    // of all losses together
  std::vector<std::pair<std::string, double>> parts;  // each loss, unweighted
  double learning_rate = 0, gradient_norm = 0;
  double spread = 0;  // of the embeddings: 1 - cosine, mean of all pairs; 0 when all are one
  double seconds = 0, wait_seconds = 0;  // of the step, and of it the time spent waiting for pictures
};

class RunLog {
 public:
  /// `folder` is the run's; null-like on ranks that do not write (`writes` false). Lines of steps after
  /// `resume_step` are dropped from metrics.jsonl: they will be written again.
  RunLog(const std::string& folder, bool writes, int64_t resume_step, int64_t total_steps,
         int64_t global_batch, int log_every);
  ~RunLog();

  void step(const StepRecord& record);
  /// On standard error, past the progress line.
  void warning(const std::string& text);
  void evaluation(int64_t step, double epoch, const EvaluationResult& result);
  /// Draws report.html anew from metrics.jsonl.
  void draw_report();
  /// Everything so far is on disk when this returns; called before a checkpoint is published.
  void sync();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null on ranks that do not write
};

}  // namespace kindred
