// kindred-model forward and step: arrays through a network, and one training step.
#include <algorithm>

#include "common/base/log.h"
#include "common/engine/program.h"
#include "common/io/npy.h"
#include "common/models/model_file.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

constexpr int64_t kLargestBatch = 16;

/// [N,C,H,W] -> [N,H,W,C].
Tensor to_nhwc(const Tensor& images) {
  const int64_t N = images.shape()[0], C = images.shape()[1], pixels = images.shape()[2] * images.shape()[3];
  Tensor out({N, images.shape()[2], images.shape()[3], C});
  for (int64_t n = 0; n < N; ++n)
    for (int64_t c = 0; c < C; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        out.f32()[(n * pixels + p) * C + c] = images.f32()[(n * C + c) * pixels + p];
  return out;
}

void add_input_option(Options& options) {
  options.add<std::string>("input", "", ".npy file, float32 [N,C,H,W], C the network's channels (required)");
}

/// The images of --input, whose size becomes the network's.
Tensor read_images(const Options& options, ModelConfig& config) {
  const std::string& path = required(options, "input");
  const Tensor images = read_npy(path);
  if (images.dtype() != DType::f32 || images.shape().rank() != 4 ||
      images.shape()[1] != config.image.channels || images.elements() < 1) {
    fail(path, ": expected float32 images [N,", config.image.channels, ",H,W]; got ",
         dtype_text(images.dtype()), " ", images.shape());
  }
  config.image.height = static_cast<int>(std::min<int64_t>(images.shape()[2], 1 << 20));
  config.image.width = static_cast<int>(std::min<int64_t>(images.shape()[3], 1 << 20));
  return to_nhwc(images);
}

/// The network's `output` for all images, a batch at a time.
Tensor run_network(const ModelConfig& config, Network& network, const Tensor& images,
                   const std::string& output, DType precision) {
  Tensor result;
  std::unique_ptr<Program> program;
  Stream& stream = *network.stream;
  const int64_t N = images.shape()[0];
  for (int64_t done = 0, size = 0; done < N; done += size) {
    const int64_t wanted = std::min(kLargestBatch, N - done);
    if (wanted != size) {
      size = wanted;
      program = std::make_unique<Program>(build_model(network.parameters, config, size), stream,
                                          CompileOptions{.compute = precision});
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

/// values -= rate x gradient, for the loss whose gradient by the network's output is given.
void descend(const ModelConfig& config, Network& network, const Tensor& images, const Tensor& gradient,
             const std::string& output, float rate) {
  Stream& stream = *network.stream;
  Program program(build_model(network.parameters, config, images.shape()[0]), stream,
                  CompileOptions{.training = true});
  stream.copy(program.input("image"), images);
  program.forward();
  stream.copy(program.output_gradient(output), gradient);
  program.backward();
  stream.wait();
  const Tensor values = network.parameters.values(), slopes = network.parameters.gradients();
  for (int64_t i = 0; i < values.elements(); ++i) values.f32()[i] -= rate * slopes.f32()[i];
  network.parameters.touch();
}

}  // namespace

int model_forward(int argc, const char* const* argv) {
  Options options("kindred-model forward",
                  "Runs a network on an array of images, as they enter it after preprocessing.");
  add_weights_options(options);
  add_input_option(options);
  options.add<std::string>("output", "",
                           ".npy file for the logits, or the embeddings of a retrieval model (required)");
  options.add<bool>("features", false, "write the classifier's input instead of the logits");
  add_precision_option(options);
  add_stem_pool_option(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  required(options, "weights"), required(options, "input");
  const std::string& output = required(options, "output");
  const DType precision = precision_option(options);
  ModelConfig config = config_of_weights(options);
  const Tensor images = read_images(options, config);
  Network network(config, options);
  const char* const name = config.embedding > 0            ? "embedding"
                           : options.get<bool>("features") ? "features"
                                                           : "logits";
  const Tensor result = run_network(config, network, images, name, precision);
  write_npy(output, result);
  log_info("wrote ", output, ": ", name, " ", result.shape());
  return 0;
}

int model_step(int argc, const char* const* argv) {
  Options options("kindred-model step",
                  "One step of plain gradient descent in training mode, to compare with other programs: the "
                  "loss is whatever has the given gradient by the network's output.");
  add_weights_options(options);
  add_input_option(options);
  options.add<std::string>("gradient", "",
                           ".npy file, float32 [N,classes] or [N,embedding]: the loss's gradient (required)");
  options.add<double>("lr", 0.01, "the step's length");
  options.add<std::string>("output", "", "the .safetensors file to write (required)");
  add_stem_pool_option(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  required(options, "weights"), required(options, "input");
  const std::string &path = required(options, "gradient"), &output = required(options, "output");
  ModelConfig config = config_of_weights(options);
  const Tensor images = read_images(options, config), gradient = read_npy(path);
  const Shape wanted{images.shape()[0], std::max(config.classes, config.embedding)};
  if (gradient.dtype() != DType::f32 || !(gradient.shape() == wanted)) {
    fail(path, ": expected a float32 gradient ", wanted, "; got ", dtype_text(gradient.dtype()), " ",
         gradient.shape());
  }
  Network network(config, options);
  descend(config, network, images, gradient, config.embedding > 0 ? "embedding" : "logits",
          static_cast<float>(options.get<double>("lr")));
  log_info("wrote ", output, ", model id ", save_model(output, config, network.parameters));
  return 0;
}

}  // namespace kindred
