#include "common/models/model.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "common/models/neck.h"
#include "common/ops/dropout.h"
#include "common/ops/linear.h"

namespace kindred {

namespace {

constexpr int kSmallestImage = 32, kLargestImage = 4096;  // the networks halve an image five times
constexpr double kLargestStageLr = 1000;
constexpr int kMaxClasses = 1 << 24, kMaxEmbedding = 1 << 16;

struct Backbones {
  std::map<std::string, BackboneEntry, std::less<>> entries;     // by canonical name
  std::map<std::string, std::string, std::less<>> canonical_of;  // of every name in lower case
};

Backbones& backbones() {
  static Backbones table;
  return table;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <class T>
T checked(const Json& json, std::string_view key, T low, T high, std::string_view what) {
  const T value = json_get<T>(json, key, what);
  if (!(value >= low && value <= high)) {
    fail(what, ": '", key, "' is ", value, "; expected ", low, " to ", high);
  }
  return value;
}

void check_image(const ImageSpec& image, std::string_view what) {
  for (const int side : {image.height, image.width}) {
    if (side < kSmallestImage || side > kLargestImage) {
      fail(what, ": the image is ", image.height, "x", image.width, "; each side must be ", kSmallestImage,
           " to ", kLargestImage);
    }
  }
  if (image.channels < 1 || image.channels > kMaxChannels)
    fail(what, ": the image has ", image.channels, " channels; expected 1 to ", kMaxChannels);
}

/// One factor for each stage, or none at all.
void check_stage_lr(const std::vector<double>& factors, std::string_view arch, std::string_view what) {
  const int stages = find_backbone(arch).stages;
  const bool good = std::ranges::all_of(factors, [](double f) { return f >= 0 && f <= kLargestStageLr; });
  if (good && (factors.empty() || factors.size() == static_cast<size_t>(stages))) return;
  fail(what, ": 'stage_lr' has ", factors.size(), " factors; expected ", stages, " for ", arch,
       ", each from 0 to ", kLargestStageLr);
}

}  // namespace

Json ModelConfig::to_json() const {
  return {{"arch", arch},
          {"classes", classes},
          {"embedding", embedding},
          {"neck_tail", neck_tail},
          {"bnneck", bnneck},
          {"stem_pool", backbone.stem_pool == BackboneOptions::StemPool::inf ? "inf" : "zero"},
          {"drop_path", backbone.drop_path},
          {"dropout", backbone.dropout},
          {"dropout_scale", dropout_scale_text(backbone.dropout_scale)},
          {"stage_lr", backbone.stage_lr},
          {"image", image.to_json()}};
}

ModelConfig ModelConfig::from_json(const Json& json, std::string_view what) {
  ModelConfig config;
  try {
    config.arch = canonical_arch(json_get<std::string>(json, "arch", what));
  } catch (const Error& error) {
    fail(what, ": ", error.what());
  }
  config.classes = static_cast<int>(checked<int64_t>(json, "classes", 0, kMaxClasses, what));
  config.embedding = static_cast<int>(checked<int64_t>(json, "embedding", 0, kMaxEmbedding, what));
  if ((config.classes > 0) == (config.embedding > 0)) {
    fail(what, ": expected either 'classes' or 'embedding' above 0; got ", config.classes, " and ",
         config.embedding);
  }
  config.neck_tail = json_get<bool>(json, "neck_tail", what);
  config.bnneck = json_get<bool>(json, "bnneck", what);
  const std::string pool = json_get<std::string>(json, "stem_pool", what);
  if (pool != "inf" && pool != "zero") fail(what, ": 'stem_pool' is '", pool, "'; expected 'inf' or 'zero'");
  config.backbone.stem_pool =
      pool == "inf" ? BackboneOptions::StemPool::inf : BackboneOptions::StemPool::zero;
  config.backbone.drop_path = checked<double>(json, "drop_path", 0, 0.99, what);
  config.backbone.dropout = checked<double>(json, "dropout", 0, 0.99, what);
  const std::string scale = json_get<std::string>(json, "dropout_scale", what);
  try {
    config.backbone.dropout_scale = parse_dropout_scale(scale);
  } catch (const Error& error) {
    fail(what, ": ", error.what());
  }
  config.backbone.stage_lr = json_get<std::vector<double>>(json, "stage_lr", what);
  check_stage_lr(config.backbone.stage_lr, config.arch, what);
  config.image = ImageSpec::from_json(json_get<Json>(json, "image", what), concat(what, ": image"));
  check_image(config.image, what);
  return config;
}

std::string canonical_arch(std::string_view name) {
  const Backbones& table = backbones();
  const std::string wanted = lower(name);
  // timm's names may carry the tag of their weights: "hgnetv2_b0.ssld_stage2_ft_in1k".
  for (const std::string& candidate : {wanted, wanted.substr(0, wanted.find('.'))}) {
    if (const auto found = table.canonical_of.find(candidate); found != table.canonical_of.end())
      return found->second;
  }
  std::vector<std::string> all;
  for (const auto& [alias, canonical] : table.canonical_of) all.push_back(alias);
  const std::string near = nearest_name(wanted, all);
  fail("unknown architecture '", name, "'", near.empty() ? "" : concat("; did you mean '", near, "'?"),
       " (known: ", join(backbone_names()), ", and their PaddleClas and timm names)");
}

const BackboneEntry& find_backbone(std::string_view name) {
  return backbones().entries.find(canonical_arch(name))->second;
}

std::vector<std::string> backbone_names() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : backbones().entries) names.push_back(name);
  return names;
}

bool register_backbone(std::string canonical, std::vector<std::string> aliases, BackboneEntry entry) {
  Backbones& table = backbones();
  aliases.push_back(canonical);
  if (!entry.timm_name.empty()) aliases.push_back(entry.timm_name);
  for (const std::string& alias : aliases) {
    const auto [place, fresh] = table.canonical_of.emplace(lower(alias), canonical);
    KINDRED_ASSERT(fresh || place->second == canonical);
  }
  return table.entries.emplace(std::move(canonical), std::move(entry)).second;
}

std::vector<double> parse_stage_lr(std::string_view text, std::string_view arch) {
  std::vector<double> factors;
  for (const std::string& word : split_words(text)) factors.push_back(parse_double(word, "stage_lr"));
  check_stage_lr(factors, arch, arch);
  return factors;
}

Graph build_model(ParameterSet& parameters, const ModelConfig& config, int64_t batch, bool raw) {
  const BackboneEntry& entry = find_backbone(config.arch);
  if (batch < 1) fail("a batch of ", batch, " images; expected at least 1");
  if ((config.classes > 0) == (config.embedding > 0)) {
    fail("a network needs either classes or an embedding; got ", config.classes, " classes and embedding ",
         config.embedding);
  }
  check_image(config.image, config.arch);
  check_stage_lr(config.backbone.stage_lr, config.arch, config.arch);

  Graph graph(parameters);
  const Value image =
      graph.input("image", {batch, config.image.height, config.image.width, config.image.channels});
  const bool with_tail = config.classes > 0 || config.neck_tail;
  const BackboneParts parts = entry.build(graph, image, config.backbone, with_tail);
  if (config.embedding > 0) {
    const NeckParts neck = build_neck(graph, parts, config);
    graph.output("embedding", neck.embedding);
    if (raw) graph.output("raw", neck.raw);
    return graph;
  }
  graph.output("features", parts.features);
  LinearSpec spec{.outputs = config.classes};
  if (entry.classifier_std > 0) spec.init = Init::truncated_std(entry.classifier_std);
  const Value kept = dropout(graph, parts.features, config.backbone.dropout, config.backbone.dropout_scale);
  graph.output("logits", linear(graph, kept, spec, entry.classifier));
  return graph;
}

}  // namespace kindred
