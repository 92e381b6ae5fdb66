// The training loop: one object a rank; all ranks do the same calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/engine/communicator.h"
#include "trainer/train/evaluation.h"
#include "trainer/train/run_log.h"
#include "trainer/train/train_options.h"

namespace kindred {

/// Loss or gradient stopped being finite; the main maps it to exit code 76.
class NotFinite : public Error {
 public:
  using Error::Error;
};

class Trainer {
 public:
  /// Loads data, builds and compiles the network, resumes. Throws Error.
  Trainer(const TrainConfig& config, const Options& options, Stream& stream, Communicator& communicator);
  ~Trainer();

  enum class End { done, stopped };
  /// Runs to the end, or until a stop was asked for on any rank: then all ranks finish the step and
  /// checkpoint. Throws NotFinite, Error.
  End run();

  /// One optimiser step; for tests. Returns what the log would show.
  StepRecord step();

  ParameterSet& parameters();
  int64_t steps_done() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
