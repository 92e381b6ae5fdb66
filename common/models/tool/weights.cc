// kindred-model init and forward: fresh weights to a file, and arrays through a network.
#include <algorithm>

#include "common/base/log.h"
#include "common/engine/program.h"
#include "common/io/npy.h"
#include "common/io/safetensors.h"
#include "common/models/model_file.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

constexpr int64_t kLargestBatch = 16;

/// The value of an option that must be given.
const std::string& required(const Options& options, std::string_view name) {
  const std::string& value = options.get<std::string>(name);
  if (value.empty()) fail_usage("--", name, " is missing");
  return value;
}

/// What a file of weights says about its network: all, when it is a model of ours; else the classes, by the
/// shape of the classifier of `arch`.
ModelConfig config_of_weights(const std::string& path, const std::string& arch) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  if (file.metadata().contains("kindred.config")) {
    ModelConfig config = read_model_info(path).config;
    if (!arch.empty() && canonical_arch(arch) != config.arch) {
      fail(path, ": the file is of architecture '", config.arch, "', not '", arch, "'");
    }
    return config;
  }
  if (arch.empty()) fail_usage(path, " does not name its architecture; give --arch");
  ModelConfig config;
  config.arch = canonical_arch(arch);
  const BackboneEntry& entry = find_backbone(config.arch);
  config.image = entry.image;
  const TensorEntry* const weight = file.find(entry.classifier + ".weight");
  if (weight == nullptr || weight->shape.rank() != 2 || weight->shape[0] < 1 || weight->shape[0] > 1 << 24) {
    fail(path, ": expected a tensor '", entry.classifier, ".weight' [classes, features]; is it a ",
         config.arch, "?");
  }
  config.classes = static_cast<int>(weight->shape[0]);
  return config;
}

/// [N,3,H,W] -> [N,H,W,3].
Tensor to_nhwc(const Tensor& images) {
  const int64_t N = images.shape()[0], C = images.shape()[1], pixels = images.shape()[2] * images.shape()[3];
  Tensor out({N, images.shape()[2], images.shape()[3], C});
  for (int64_t n = 0; n < N; ++n)
    for (int64_t c = 0; c < C; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        out.f32()[(n * pixels + p) * C + c] = images.f32()[(n * C + c) * pixels + p];
  return out;
}

/// The network's `output` for all images, a batch at a time.
Tensor run_network(const ModelConfig& config, ParameterSet& parameters, Stream& stream, const Tensor& images,
                   const std::string& output) {
  Tensor result;
  std::unique_ptr<Program> program;
  const int64_t N = images.shape()[0];
  for (int64_t done = 0, size = 0; done < N; done += size) {
    const int64_t wanted = std::min(kLargestBatch, N - done);
    if (wanted != size) {
      size = wanted;
      program = std::make_unique<Program>(build_model(parameters, config, size), stream, CompileOptions{});
    }
    stream.copy(program->input("image"), images.slice(done, size));
    program->forward();
    const Tensor rows = program->output(output);
    if (!result) result = Tensor({N, rows.shape()[1]});
    stream.copy(result.slice(done, size), rows);
    stream.wait();
  }
  return result;
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
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config, 1);
  parameters.freeze(*stream);
  parameters.initialize(static_cast<uint64_t>(options.get<int64_t>("seed")));
  const std::string id = save_model(path, config, parameters);
  log_info("wrote ", path, ": ", config.arch, ", ", grouped(parameters.trainable_elements()),
           " parameters, model id ", id);
  return 0;
}

int model_forward(int argc, const char* const* argv) {
  Options options("kindred-model forward",
                  "Runs a network on an array of images, as they enter it after preprocessing.");
  options.add<std::string>("weights", "",
                           ".safetensors file: a model, or weights under timm's names (required)");
  options.add<std::string>("arch", "", "architecture of weights that do not name it");
  options.add<std::string>("input", "", ".npy file, float32 [N,3,H,W] (required)");
  options.add<std::string>("output", "",
                           ".npy file for the logits, or the embeddings of a retrieval model (required)");
  options.add<bool>("features", false, "write the classifier's input instead of the logits");
  options.add<std::string>("stem-pool", "inf",
                           "padding of HGNetV2's stem pool: inf (PaddleClas) or zero (timm)");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string &weights = required(options, "weights"), &input = required(options, "input");
  const std::string& output = required(options, "output");
  const BackboneOptions::StemPool pool = stem_pool_option(options);
  ModelConfig config = config_of_weights(weights, options.get<std::string>("arch"));
  if (options.given("stem-pool")) config.backbone.stem_pool = pool;  // else what the file says

  const Tensor images = read_npy(input);
  if (images.dtype() != DType::f32 || images.shape().rank() != 4 || images.shape()[1] != 3 ||
      images.elements() < 1) {
    fail(input, ": expected float32 images [N,3,H,W]; got ", dtype_text(images.dtype()), " ", images.shape());
  }
  config.image.height = static_cast<int>(std::min<int64_t>(images.shape()[2], 1 << 20));
  config.image.width = static_cast<int>(std::min<int64_t>(images.shape()[3], 1 << 20));
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config, 1);
  parameters.freeze(*stream);
  load_weights(weights, parameters);
  const char* const name = config.embedding > 0            ? "embedding"
                           : options.get<bool>("features") ? "features"
                                                           : "logits";
  const Tensor result = run_network(config, parameters, *stream, to_nhwc(images), name);
  write_npy(output, result);
  log_info("wrote ", output, ": ", name, " ", result.shape());
  return 0;
}

}  // namespace kindred
