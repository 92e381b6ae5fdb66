// What the commands that read weights share: which network a file holds, and the network filled from it.
#include "common/base/log.h"
#include "common/io/safetensors.h"
#include "common/models/model_file.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

constexpr const char *kArchKey = "kindred.arch", *kStemPoolKey = "kindred.stem_pool";

std::string metadata_value(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

int classes_in(const SafetensorsFile& file, const BackboneEntry& entry, const std::string& arch) {
  const TensorEntry* const weight = file.find(entry.classifier + ".weight");
  if (weight == nullptr || weight->shape.rank() != 2 || weight->shape[0] < 1 || weight->shape[0] > 1 << 24) {
    fail(file.name(), ": expected a tensor '", entry.classifier, ".weight' [classes, features]; is it a ",
         arch, "?");
  }
  return static_cast<int>(weight->shape[0]);
}

}  // namespace

const std::string& required(const Options& options, std::string_view name) {
  const std::string& value = options.get<std::string>(name);
  if (value.empty()) fail_usage("--", name, " is missing");
  return value;
}

void add_weights_options(Options& options) {
  options.add<std::string>("weights", "",
                           ".safetensors file: a model, or weights under timm's names (required)");
  options.add<std::string>("arch", "", "architecture of weights that do not name it");
  options.add<bool>(
      "allow-partial", false,
      "take the tensors that fit, with a warning that lists the others; without it they are an error");
}

std::string arch_of_weights(const SafetensorsFile& file, const std::string& given) {
  const std::string known = metadata_value(file, kArchKey);
  if (given.empty() && known.empty()) fail_usage(file.name(), " does not name its architecture; give --arch");
  if (!given.empty() && !known.empty() && canonical_arch(given) != canonical_arch(known)) {
    fail(file.name(), ": the file is of architecture '", known, "', not '", given, "'");
  }
  return canonical_arch(given.empty() ? known : given);
}

BackboneOptions::StemPool stem_pool_of_weights(const SafetensorsFile& file, const Options& options) {
  const std::string known = metadata_value(file, kStemPoolKey);
  if (options.given("stem-pool") || known.empty()) return stem_pool_option(options);
  if (known != "inf" && known != "zero") {
    fail(file.name(), ": '", kStemPoolKey, "' is '", known, "'; expected 'inf' or 'zero'");
  }
  return known == "zero" ? BackboneOptions::StemPool::zero : BackboneOptions::StemPool::inf;
}

ModelConfig classifier_of_weights(const SafetensorsFile& file, const std::string& arch) {
  const BackboneEntry& entry = find_backbone(arch);
  ModelConfig config;
  config.arch = canonical_arch(arch);
  config.classes = classes_in(file, entry, config.arch);
  config.image = entry.image;
  return config;
}

ModelConfig config_of_weights(const Options& options) {
  const std::string &path = required(options, "weights"), &arch = options.get<std::string>("arch");
  const SafetensorsFile file = SafetensorsFile::open(path);
  if (!file.metadata().contains("kindred.config")) {
    ModelConfig config = classifier_of_weights(file, arch_of_weights(file, arch));
    config.backbone.stem_pool = stem_pool_of_weights(file, options);
    return config;
  }
  ModelConfig config = read_model_info(path).config;
  if (!arch.empty() && canonical_arch(arch) != config.arch) {
    fail(path, ": the file is of architecture '", config.arch, "', not '", arch, "'");
  }
  if (options.given("stem-pool")) config.backbone.stem_pool = stem_pool_option(options);
  return config;
}

Network::Network(const ModelConfig& config) {
  build_model(parameters, config, 1);
  parameters.freeze(*stream);
}

Network::Network(const ModelConfig& config, const Options& options) : Network(config) {
  const std::string& path = options.get<std::string>("weights");
  const Fit fit = options.get<bool>("allow-partial") ? Fit::partial : Fit::exact;
  if (fit == Fit::partial) parameters.initialize(0);
  const LoadReport report = load_weights(path, parameters, fit);
  if (!report.differences.empty()) log_warning(path, ": ", report.differences);
}

}  // namespace kindred
