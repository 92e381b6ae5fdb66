// Fuzz target: any bytes as a config file. Options that were accepted can be written and read back without a
// change.
#include <optional>

#include "common/base/options.h"

namespace {

// The options as config text after reading `text`, or nothing when it was refused.
std::optional<std::string> reread(std::string_view text) {
  kindred::Options options("fuzz", "Reads anything.");
  options.add<std::string>("name", "run", "text");
  options.add("train.epochs", int64_t{10}, "whole number");
  options.add("train.rate", 0.1, "number");
  options.add("train.resume", false, "switch");
  options.add("data.list", std::vector<std::string>{}, "list");
  try {
    options.read_config(text, "fuzz.conf");
  } catch (const kindred::UsageError&) {
    return std::nullopt;
  }
  return options.config_text();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (const auto written = reread({reinterpret_cast<const char*>(data), size})) {
    KINDRED_ASSERT(reread(*written) == written);
  }
  return 0;
}
