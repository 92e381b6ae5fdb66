// kindred-train --dry-run: what a run would take on a GPU (plans, memory, time), from planning alone. Neither
// a GPU nor a driver is needed, nor, with --dry-run-classes, the pictures.
#pragma once

#include <string>

#include "trainer/train/train_options.h"

namespace kindred {

void declare_dry_run_options(Options& options);

/// The report as text. ranks: of this world, where --world-size does not say otherwise. Throws UsageError;
/// Error: a damaged device file, a convolution without a plan.
std::string dry_run(const TrainConfig& config, const Options& options, int ranks);

}  // namespace kindred
