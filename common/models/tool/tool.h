// The commands of kindred-model. Each reads its own command line (argv[0] is the command) and returns an exit
// code.
#pragma once

#include <string>

#include "common/base/options.h"
#include "common/models/model.h"

namespace kindred {

int model_list(int argc, const char* const* argv);
int model_info(int argc, const char* const* argv);
int model_init(int argc, const char* const* argv);
int model_forward(int argc, const char* const* argv);
int model_bench(int argc, const char* const* argv);

/// --classes, --embedding, --tail, --bnneck, --image-size, --stem-pool.
void add_network_options(Options& options);
/// A fresh network's config from them; 1000 classes when neither classes nor embedding are given. Throws
/// UsageError.
ModelConfig network_config(const Options& options, std::string_view arch);
/// "inf" or "zero". Throws UsageError.
BackboneOptions::StemPool stem_pool_option(const Options& options);

/// An option between two bounds. Throws UsageError naming option, value and bounds.
int64_t whole_option(const Options& options, std::string_view name, int64_t low, int64_t high);

/// 5996550 -> "5,996,550".
std::string grouped(int64_t number);

}  // namespace kindred
