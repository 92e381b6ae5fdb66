// kindred-model init, import and export: fresh weights, public weights and a model for others, as files.
#include "common/base/log.h"
#include "common/io/file.h"
#include "common/models/model_file.h"
#include "common/models/onnx/export.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

DType dtype_option(const Options& options) {
  const std::string& name = options.get<std::string>("dtype");
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16})
    if (name == dtype_text(dtype)) return dtype;
  fail_usage(options.source("dtype"), ": unknown dtype '", name, "'; expected f32, bf16 or f16");
}

void log_written(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                 const std::string& id) {
  log_info("wrote ", path, ": ", config.arch, ", ", grouped(parameters.trainable_elements()),
           " parameters, model id ", id);
}

/// The network that import makes of a file: as asked for, or the classifier that the file has.
ModelConfig imported_config(const Options& options, const SafetensorsFile& file) {
  const std::string arch = arch_of_weights(file, options.get<std::string>("arch"));
  ModelConfig config = network_config(options, arch);
  if (config.embedding == 0 && !options.given("classes"))
    config.classes = classifier_of_weights(file, arch).classes;
  config.backbone.stem_pool = stem_pool_of_weights(file, options);
  return config;
}

void export_onnx(const std::string& path, const ModelConfig& config, Network& network, const Options& options,
                 const std::string& model_id) {
  const std::string output = config.embedding > 0            ? "embedding"
                             : options.get<bool>("features") ? "features"
                                                             : "logits";
  const bool unit_rows = options.given("l2") ? options.get<bool>("l2") : config.embedding > 0;
  std::map<std::string, std::string> metadata{{"kindred.config", config.to_json().dump()}};
  if (!model_id.empty()) metadata["kindred.model_id"] = model_id;
  write_file(path, onnx_model(config, network.parameters, output, unit_rows, metadata));
  log_info("wrote ", path, ": ", config.arch, ", input 'image', output '", output, "'",
           unit_rows ? " in unit rows" : "");
}

}  // namespace

int model_init(int argc, const char* const* argv) {
  Options options("kindred-model init", "Writes a network with fresh weights as a model file.");
  options.add<std::string>("arch", "", "architecture; `kindred-model list` shows all (required)");
  options.add<std::string>("output", "", "the .safetensors file to write (required)");
  options.add<int64_t>("seed", 0, "of the fresh weights");
  add_network_options(options);
  options.footer("Example: kindred-model init --arch pphgnetv2_b0 --embedding 256 --output b0.safetensors");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string& path = required(options, "output");
  const ModelConfig config = network_config(options, required(options, "arch"));
  Network network(config);
  network.parameters.initialize(static_cast<uint64_t>(options.get<int64_t>("seed")));
  log_written(path, config, network.parameters, save_model(path, config, network.parameters));
  return 0;
}

int model_import(int argc, const char* const* argv) {
  Options options(
      "kindred-model import",
      "Makes a model file of public weights: timm's .safetensors files as they are, PyTorch's and "
      "PaddlePaddle's after scripts/convert_weights.py.");
  add_weights_options(options);
  options.add<std::string>("output", "", "the .safetensors file to write (required)");
  options.add<int64_t>("seed", 0, "of the fresh weights of layers that the file does not have");
  add_network_options(options);
  options.footer(
      "Example: kindred-model import --weights model.safetensors --arch hgnetv2_b0 --embedding 256 "
      "--output start.safetensors");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string &weights = required(options, "weights"), &path = required(options, "output");
  const ModelConfig config = imported_config(options, SafetensorsFile::open(weights));
  Network network(config);
  network.parameters.initialize(static_cast<uint64_t>(options.get<int64_t>("seed")));
  const Fit fit = options.get<bool>("allow-partial") ? Fit::partial : Fit::exact;
  const auto [fresh, differences] = load_backbone_weights(weights, config, network.parameters, fit);
  if (!fresh.empty()) log_info("fresh values for ", join(fresh));
  if (!differences.empty()) log_warning(weights, ": ", differences);
  log_written(path, config, network.parameters, save_model(path, config, network.parameters));
  return 0;
}

int model_export(int argc, const char* const* argv) {
  Options options("kindred-model export",
                  "Writes a model for others to read: an .onnx file (opset 17, any batch size) of the fused "
                  "network, or a .safetensors file in another precision.");
  add_weights_options(options);
  add_stem_pool_option(options);
  options.add<std::string>("output", "", "the .onnx or .safetensors file to write (required)");
  options.add<bool>("features", false, "ONNX: the classifier's input instead of the logits");
  options.add<bool>("l2", false, "ONNX: end in an L2 norm; by default embeddings do and nothing else does");
  options.add<std::string>("dtype", "f32", "safetensors: f32, bf16 or f16");
  options.footer("Example: kindred-model export --weights model.safetensors --output model.onnx");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string &weights = required(options, "weights"), &path = required(options, "output");
  const bool onnx = path.ends_with(".onnx");
  if (!onnx && !path.ends_with(".safetensors"))
    fail_usage("--output is '", path, "'; expected a name that ends in .onnx or .safetensors");
  for (const char* name : {"features", "l2"})
    if (!onnx && options.given(name)) fail_usage("--", name, " is for .onnx files");
  if (onnx && options.given("dtype")) fail_usage("--dtype is for .safetensors files; ONNX files are f32");
  const DType dtype = dtype_option(options);
  const ModelConfig config = config_of_weights(options);
  if (config.embedding > 0 && options.get<bool>("features"))
    fail_usage("--features is for classifiers; ", weights, " makes embeddings");
  Network network(config, options);
  if (onnx) {
    const SafetensorsFile file = SafetensorsFile::open(weights);
    const auto id = file.metadata().find("kindred.model_id");
    export_onnx(path, config, network, options, id == file.metadata().end() ? "" : id->second);
  } else {
    log_written(path, config, network.parameters, save_model(path, config, network.parameters, {}, dtype));
  }
  return 0;
}

}  // namespace kindred
