// --threshold and --target-fpr, as kindred-serve and kindred-query both have them.
#pragma once

#include "common/base/options.h"
#include "serve/api.h"

namespace kindred {

void declare_threshold_options(Options& options);

/// monostate when neither is given. Throws UsageError.
ThresholdChoice threshold_option(const Options& options);

}  // namespace kindred
