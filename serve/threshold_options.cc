#include "serve/threshold_options.h"

namespace kindred {

void declare_threshold_options(Options& options) {
  options.add<std::string>("threshold", "none",
                           "cosine below which hits are left out; a query without hits is unknown");
  options.add<std::string>("target-fpr", "none",
                           "the same, by a false positive rate that the gallery is calibrated for");
}

ThresholdChoice threshold_option(const Options& options) {
  const bool value = options.given("threshold"), target = options.given("target-fpr");
  if (value && target) fail_usage("--threshold and --target-fpr exclude each other");
  try {
    if (value) return parse_threshold(options.get<std::string>("threshold"));
    if (target) return parse_target_fpr(options.get<std::string>("target-fpr"));
  } catch (const Problem& problem) {
    fail_usage(options.source(value ? "threshold" : "target-fpr"), ": ", problem.what());
  }
  return std::monostate{};
}

}  // namespace kindred
