#include "common/models/model_file.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "common/base/hash.h"
#include "common/io/float_formats.h"
#include "common/io/safetensors.h"

namespace kindred {

namespace {

constexpr std::string_view kConfigKey = "kindred.config", kIdKey = "kindred.model_id";
constexpr std::string_view kMetadataDigestKey = "kindred.metadata_digest";

using Metadata = std::map<std::string, std::string>;

void update(Sha256& hash, std::string_view text) {
  const uint64_t length = text.size();  // lengths keep "ab","c" and "a","bc" apart
  hash.update(&length, sizeof length);
  hash.update(text.data(), text.size());
}

std::string content_digest(const std::string& config, std::vector<TensorEntry> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  Sha256 hash;
  update(hash, config);
  for (const TensorEntry& tensor : tensors) {
    update(hash, concat(tensor.name, " ", dtype_text(tensor.dtype), " ", tensor.shape));
    update(hash, tensor.bytes);
  }
  return hash.hex();
}

/// Over every entry but its own.
std::string metadata_digest(const Metadata& metadata) {
  Sha256 hash;
  for (const auto& [key, value] : metadata) {
    if (key == kMetadataDigestKey) continue;
    update(hash, key);
    update(hash, value);
  }
  return hash.hex();
}

const std::string& metadata_entry(const SafetensorsFile& file, std::string_view key) {
  const auto found = file.metadata().find(std::string(key));
  if (found == file.metadata().end()) {
    fail(file.name(), ": not a model of kindred: its metadata has no '", key, "'");
  }
  return found->second;
}

bool is_counter(std::string_view name) { return name.ends_with("num_batches_tracked"); }

/// What keeps a file's tensors from being a set's parameters.
struct Differences {
  std::vector<std::string> missing, surplus, unfit;  // unfit: whole sentences
  std::string text() const {
    std::vector<std::string> parts = unfit;
    if (!missing.empty()) parts.push_back(concat(missing.size(), " missing: ", join(missing)));
    if (!surplus.empty())
      parts.push_back(concat(surplus.size(), " that the model does not have: ", join(surplus)));
    return join(parts, "; ");
  }
};

/// The sentence that says why `tensor` cannot fill the parameter, or nothing.
std::optional<std::string> misfit(const TensorEntry& tensor, const ParamInfo& info) {
  if (!(tensor.shape == info.file_shape)) {
    return concat("tensor '", info.name, "' has shape ", tensor.shape, ", the model needs ", info.file_shape);
  }
  if (!is_float(tensor.dtype)) {
    return concat("tensor '", info.name, "' is ", dtype_text(tensor.dtype),
                  ", the model needs f32, bf16, f16 or f64");
  }
  return {};
}

/// A file laid beside the parameters it is to fill.
struct Comparison {
  Differences differences;
  std::vector<std::string> fresh;                             // the file need not have them, and has not
  std::vector<std::pair<Param, const TensorEntry*>> fitting;  // into the file
};

using NameRule = std::function<bool(const std::string&)>;

/// `may_lack`: parameters the file need not have. `may_have`: tensors that need not be parameters.
Comparison compare(const SafetensorsFile& file, const ParameterSet& parameters, const NameRule& may_lack,
                   const NameRule& may_have) {
  Comparison found;
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    const TensorEntry* tensor = file.find(info.name);
    const auto sentence = tensor != nullptr ? misfit(*tensor, info) : std::nullopt;
    if (tensor != nullptr && !sentence) {
      found.fitting.emplace_back(Param{i}, tensor);
    } else if (may_lack(info.name)) {
      found.fresh.push_back(info.name);
    } else if (sentence) {
      found.differences.unfit.push_back(*sentence);
    } else {
      found.differences.missing.push_back(info.name);
    }
  }
  for (const TensorEntry& tensor : file.tensors()) {
    if (!is_counter(tensor.name) && !parameters.contains(tensor.name) && !may_have(tensor.name))
      found.differences.surplus.push_back(tensor.name);
  }
  return found;
}

LoadReport fill(const SafetensorsFile& file, Comparison found, Fit fit, ParameterSet& parameters) {
  LoadReport report{.fresh = std::move(found.fresh), .differences = found.differences.text()};
  if (fit == Fit::exact && !report.differences.empty()) fail(file.name(), ": ", report.differences);
  if (found.fitting.empty()) fail(file.name(), ": no tensor fits the network; ", report.differences);
  for (const auto& [param, tensor] : found.fitting)
    parameters.set_from_file_layout(param, to_f32(tensor->bytes, tensor->dtype));
  return report;
}

}  // namespace

std::string save_model(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                       const Metadata& extra_metadata, DType dtype) {
  ParameterSet network;  // never frozen: only the names and shapes of the config's network
  build_model(network, config, 1);

  std::vector<std::string> values(static_cast<size_t>(network.count()));
  std::vector<TensorEntry> tensors;
  for (int i = 0; i < network.count(); ++i) {
    const ParamInfo& info = network.info({i});
    const Param param = parameters.find(info.name);
    if (!(parameters.info(param).file_shape == info.file_shape)) {
      fail(path, ": parameter '", info.name, "' has shape ", parameters.info(param).file_shape,
           ", its config says ", info.file_shape);
    }
    std::string& bytes = values[static_cast<size_t>(i)] = from_f32(parameters.to_file_layout(param), dtype);
    tensors.push_back({info.name, dtype, info.file_shape, bytes});
  }

  Metadata metadata = extra_metadata;
  metadata["format"] = "pt";  // what Python readers ask for
  const std::string& text = metadata[std::string(kConfigKey)] = config.to_json().dump();
  const std::string id = metadata[std::string(kIdKey)] = content_digest(text, tensors);
  metadata[std::string(kMetadataDigestKey)] = metadata_digest(metadata);
  write_safetensors(path, tensors, metadata);
  return id;
}

ModelInfo read_model_info(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const std::string& config = metadata_entry(file, kConfigKey);
  ModelInfo info{.config = {}, .model_id = metadata_entry(file, kIdKey), .metadata = file.metadata()};
  if (metadata_entry(file, kMetadataDigestKey) != metadata_digest(info.metadata)) {
    fail(path, ": the metadata does not match its digest; the file was changed or damaged");
  }
  const std::string digest = content_digest(config, file.tensors());
  if (digest != info.model_id) {
    fail(path, ": the content has digest ", digest.substr(0, 12), ", the file says ",
         info.model_id.substr(0, 12), "; it was changed or damaged");
  }
  const std::string where = concat(path, ": ", kConfigKey);
  info.config = ModelConfig::from_json(parse_json(config, where), where);
  return info;
}

LoadReport load_weights(const std::string& path, ParameterSet& parameters, Fit fit) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto never = [](const std::string&) { return false; };
  return fill(file, compare(file, parameters, never, never), fit, parameters);
}

LoadReport load_backbone_weights(const std::string& path, const ModelConfig& config, ParameterSet& parameters,
                                 Fit fit) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  // The same backbone as a classifier and as this config's network: what either has, a file may have.
  ModelConfig classifier_config = config;
  classifier_config.classes = 1, classifier_config.embedding = 0;
  ParameterSet network, classifier;
  build_model(network, config, 1);
  build_model(classifier, classifier_config, 1);
  const std::string last_layer = find_backbone(config.arch).classifier + ".";
  const auto head = [&](const std::string& name) {
    return name.starts_with("neck.") || name.starts_with(last_layer);
  };
  const auto may_lack = [&](const std::string& name) { return head(name) || !network.contains(name); };
  const auto may_have = [&](const std::string& name) { return head(name) || classifier.contains(name); };
  return fill(file, compare(file, parameters, may_lack, may_have), fit, parameters);
}

}  // namespace kindred
