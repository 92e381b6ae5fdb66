// What several commands of kindred-model ask for.
#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/precision.h"
#include "common/models/tool/tool.h"

namespace kindred {

void add_stem_pool_option(Options& options) {
  options.add<std::string>("stem-pool", "inf",
                           "padding of HGNetV2's stem pool: inf (PaddleClas) or zero (timm)");
}

void add_network_options(Options& options) {
  options.add<int64_t>("classes", 0, "a classifier of so many classes (1000 when no embedding is asked for)");
  options.add<int64_t>("embedding", 0, "a retrieval network with embeddings of this length");
  options.add<bool>("tail", false, "embed the classifier's input features instead of the pooled last map");
  options.add<bool>("bnneck", false, "batch norm between the last linear layer and the L2 norm");
  options.add<int64_t>("image-size", 0, "height and width of the input; 0: that of the public weights");
  options.add<int64_t>("channels", 3, "of the input: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha");
  add_stem_pool_option(options);
}

BackboneOptions::StemPool stem_pool_option(const Options& options) {
  const std::string& pool = options.get<std::string>("stem-pool");
  if (pool == "inf") return BackboneOptions::StemPool::inf;
  if (pool == "zero") return BackboneOptions::StemPool::zero;
  fail_usage(options.source("stem-pool"), ": unknown stem pool '", pool, "'; expected inf or zero");
}

ModelConfig network_config(const Options& options, std::string_view arch) {
  ModelConfig config;
  try {
    config.arch = canonical_arch(arch);
  } catch (const Error& error) {
    fail_usage(error.what());
  }
  config.classes = static_cast<int>(whole_option(options, "classes", 0, 1 << 24));
  config.embedding = static_cast<int>(whole_option(options, "embedding", 0, 1 << 16));
  if (config.classes > 0 && config.embedding > 0) fail_usage("give --classes or --embedding, not both");
  if (config.classes == 0 && config.embedding == 0) config.classes = 1000;
  config.neck_tail = options.get<bool>("tail");
  config.bnneck = options.get<bool>("bnneck");
  for (const char* name : {"tail", "bnneck"}) {
    if (options.get<bool>(name) && config.embedding == 0) fail_usage("--", name, " needs --embedding");
  }
  config.backbone.stem_pool = stem_pool_option(options);
  const auto channels = static_cast<int>(whole_option(options, "channels", 1, kMaxChannels));
  config.image = with_channels(find_backbone(config.arch).image, channels);
  if (const int64_t size = whole_option(options, "image-size", 0, 4096); size > 0) {
    const double growth = static_cast<double>(size) / config.image.height;
    config.image.resize_short = static_cast<int>(std::lround(config.image.resize_short * growth));
    config.image.height = config.image.width = static_cast<int>(size);
  }
  if (config.embedding > 0) {  // the retrieval recipes show the whole picture
    config.image.resize = ResizeMode::stretch;
    config.image.resize_short = 0;
  }
  return config;
}

void add_precision_option(Options& options) {
  options.add<std::string>("precision", "fp32", "of values and products: fp32 or bf16");
}

DType precision_option(const Options& options) {
  return parsed_option(options, "precision", parse_precision);
}

std::string grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace kindred
