// The options of kindred-train, and what they mean once read.
#pragma once

#include <string>
#include <vector>

#include "common/base/options.h"
#include "common/models/model_file.h"
#include "trainer/losses/memory_bank.h"

namespace kindred {

struct TrainConfig {
  std::string train_data, validation_data;
  std::vector<std::string> augment;
  int workers = 1;
  bool cache_images = false;
  double max_broken_fraction = 0.01;

  ModelConfig model;
  std::string weights;  // start from this model file; "" for fresh weights
  Fit weights_fit = Fit::exact;

  std::string run;  // the folder that the run writes
  Device device;
  DType precision = DType::f32;
  uint64_t seed = 0;
  int64_t epochs = 0, batch = 0, stop_after_steps = 0;
  int images_per_class = 0;
  std::vector<std::string> losses;
  std::string optimizer;
  int64_t accumulate = 1, tile_bytes = 0;
  BankSettings bank;
  double clip_norm = 0;
  int64_t evaluate_every = 0, checkpoint_every_steps = 0;
  int keep_checkpoints = 0, log_every = 0, threads = 0;
  std::string resume;  // "auto", "never" or a checkpoint folder
};

/// Declares everything kindred-train knows, the options of every registered loss, optimiser and transform
/// included.
void declare_train_options(Options& options);

/// Reads and checks. Throws UsageError naming the option, where it came from, and what was expected.
TrainConfig read_train_config(const Options& options);

}  // namespace kindred
