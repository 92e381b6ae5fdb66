// The commands of kindred-model. Each reads its own command line (argv[0] is the command) and returns an exit
// code.
#pragma once

#include <memory>
#include <string>

#include "common/base/options.h"
#include "common/io/safetensors.h"
#include "common/models/model.h"

namespace kindred {

int model_list(int argc, const char* const* argv);
int model_info(int argc, const char* const* argv);
int model_init(int argc, const char* const* argv);
int model_import(int argc, const char* const* argv);
int model_export(int argc, const char* const* argv);
int model_forward(int argc, const char* const* argv);
int model_step(int argc, const char* const* argv);
int model_bench(int argc, const char* const* argv);

/// --stem-pool.
void add_stem_pool_option(Options& options);
/// --classes, --embedding, --tail, --bnneck, --image-size, --channels, --stem-pool.
void add_network_options(Options& options);
/// A fresh network's config from them; 1000 classes when neither classes nor embedding are given. Throws
/// UsageError.
ModelConfig network_config(const Options& options, std::string_view arch);
/// "inf" or "zero". Throws UsageError.
BackboneOptions::StemPool stem_pool_option(const Options& options);

/// --precision, and the type it names. Throws UsageError.
void add_precision_option(Options& options);
DType precision_option(const Options& options);

/// The value of an option that must be given. Throws UsageError.
const std::string& required(const Options& options, std::string_view name);

/// --weights, --arch, --allow-partial: for the commands that read weights.
void add_weights_options(Options& options);
/// What --weights says about its network: all, when it is a model of ours; else the architecture by metadata
/// or --arch, and the classes by the shape of its classifier. --stem-pool wins over the file.
ModelConfig config_of_weights(const Options& options);
/// The parts of that, for a file that is no model of ours.
std::string arch_of_weights(const SafetensorsFile& file, const std::string& given);
BackboneOptions::StemPool stem_pool_of_weights(const SafetensorsFile& file, const Options& options);
ModelConfig classifier_of_weights(const SafetensorsFile& file, const std::string& arch);

/// The parameters of a network, ready to be filled.
struct Network {
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  explicit Network(const ModelConfig& config);
  /// Filled from --weights; with --allow-partial what does not fit is warned about.
  Network(const ModelConfig& config, const Options& options);
};

/// 5996550 -> "5,996,550".
std::string grouped(int64_t number);

}  // namespace kindred
