#include "common/models/model_file.h"

#include <algorithm>
#include <optional>

#include "common/base/hash.h"
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

/// "a, b, c and 12 more"
std::string some(const std::vector<std::string>& names) {
  constexpr size_t kShown = 12;
  const size_t shown = std::min(names.size(), kShown);
  std::string text = join(std::span(names).first(shown));
  return names.size() > shown ? concat(text, " and ", names.size() - shown, " more") : text;
}

/// What keeps a file's tensors from being a set's parameters.
struct Differences {
  std::vector<std::string> missing, surplus, mismatched;  // mismatched: whole sentences
  bool none() const { return missing.empty() && surplus.empty() && mismatched.empty(); }
  std::string text() const {
    std::vector<std::string> parts = mismatched;
    if (!missing.empty()) parts.push_back(concat(missing.size(), " missing: ", some(missing)));
    if (!surplus.empty())
      parts.push_back(concat(surplus.size(), " that the model does not have: ", some(surplus)));
    return join(parts, "; ");
  }
};

/// The sentence that says why `tensor` cannot fill the parameter, or nothing.
std::optional<std::string> mismatch(const TensorEntry& tensor, const ParamInfo& info) {
  if (!(tensor.shape == info.file_shape)) {
    return concat("tensor '", info.name, "' has shape ", tensor.shape, ", the model needs ", info.file_shape);
  }
  if (tensor.dtype != DType::f32) {
    return concat("tensor '", info.name, "' is ", dtype_text(tensor.dtype), ", the model needs f32");
  }
  return {};
}

void fill(ParameterSet& parameters, Param param, const TensorEntry& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  std::copy_n(tensor.bytes.data(), tensor.bytes.size(),
              reinterpret_cast<char*>(values.data()));  // may be unaligned
  parameters.set_from_file_layout(param, values);
}

}  // namespace

std::string save_model(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                       const Metadata& extra_metadata) {
  ParameterSet network;  // never frozen: only the names and shapes of the config's network
  build_model(network, config, 1);

  std::vector<std::vector<float>> values;
  std::vector<TensorEntry> tensors;
  for (int i = 0; i < network.count(); ++i) {
    const ParamInfo& info = network.info({i});
    const Param param = parameters.find(info.name);
    if (!(parameters.info(param).file_shape == info.file_shape)) {
      fail(path, ": parameter '", info.name, "' has shape ", parameters.info(param).file_shape,
           ", its config says ", info.file_shape);
    }
    values.push_back(parameters.to_file_layout(param));
    const std::vector<float>& last = values.back();
    tensors.push_back({info.name,
                       DType::f32,
                       info.file_shape,
                       {reinterpret_cast<const char*>(last.data()), last.size() * sizeof(float)}});
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

void load_weights(const std::string& path, ParameterSet& parameters) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  Differences differences;
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    const TensorEntry* tensor = file.find(info.name);
    if (tensor == nullptr) {
      differences.missing.push_back(info.name);
    } else if (auto sentence = mismatch(*tensor, info)) {
      differences.mismatched.push_back(*sentence);
    }
  }
  for (const TensorEntry& tensor : file.tensors()) {
    if (!is_counter(tensor.name) && !parameters.contains(tensor.name))
      differences.surplus.push_back(tensor.name);
  }
  if (!differences.none()) fail(path, ": ", differences.text());
  for (int i = 0; i < parameters.count(); ++i) fill(parameters, {i}, *file.find(parameters.info({i}).name));
  parameters.touch();
}

std::vector<std::string> load_backbone_weights(const std::string& path, const ModelConfig& config,
                                               ParameterSet& parameters) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  ParameterSet network;
  build_model(network, config, 1);
  const std::string classifier = find_backbone(config.arch).classifier + ".";
  Differences differences;
  std::vector<std::string> fresh;
  std::vector<std::pair<Param, const TensorEntry*>> fitting;
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    const TensorEntry* tensor = file.find(info.name);
    const auto sentence = tensor != nullptr ? mismatch(*tensor, info) : std::nullopt;
    if (tensor != nullptr && !sentence) {
      fitting.emplace_back(Param{i}, tensor);
    } else if (info.name.starts_with("neck.") || info.name.starts_with(classifier) ||
               !network.contains(info.name)) {
      fresh.push_back(info.name);
    } else if (sentence) {
      differences.mismatched.push_back(*sentence);
    } else {
      differences.missing.push_back(info.name);
    }
  }
  if (!differences.none()) fail(path, ": ", differences.text());
  for (const auto& [param, tensor] : fitting) fill(parameters, param, *tensor);
  parameters.touch();
  return fresh;
}

}  // namespace kindred
