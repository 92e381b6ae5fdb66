#include "index/embedder_options.h"

#include "common/base/option_rules.h"
#include "common/engine/precision.h"

namespace kindred {

void add_embedder_options(Options& options) {
  options.add<std::string>("model", "", "the model file that embeds pictures");
  options.add<std::string>("baseline", "",
                           "instead of a model: 'color_histogram', a yardstick without learning");
  options.add<std::string>("device", "cpu", "where the model runs: cpu, cuda or cuda:N");
  options.add<std::string>("precision", "fp32", "what the model computes in: fp32 or bf16");
}

std::unique_ptr<PictureEmbedder> make_embedder(const Options& options) {
  const auto &model = options.get<std::string>("model"), &baseline = options.get<std::string>("baseline");
  if (!model.empty() && !baseline.empty()) fail_usage("--model and --baseline exclude each other");
  if (!baseline.empty()) return make_baseline_embedder(baseline);
  if (model.empty()) return nullptr;
  const DType precision = parsed_option(options, "precision", parse_precision);
  return make_model_embedder(model, Device::parse(options.get<std::string>("device")), precision);
}

std::unique_ptr<PictureEmbedder> require_embedder(const Options& options) {
  auto embedder = make_embedder(options);
  if (!embedder) fail_usage("--model FILE is needed (or --baseline color_histogram)");
  return embedder;
}

}  // namespace kindred
