// A model is one .safetensors file: tensors under timm's names and shapes (OIHW), `__metadata__` with the
// architecture, embedding dimension, preprocessing, training config and a digest (the model id).
#pragma once

#include <map>
#include <string>

#include "common/engine/parameters.h"
#include "common/models/model.h"

namespace kindred {

/// Hex SHA-256 over config and tensors: two files with the same network and weights have the same id.
/// Writes through a temporary name, fsync and rename. Returns the model id.
std::string save_model(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                       const std::map<std::string, std::string>& extra_metadata = {});

struct ModelInfo {
  ModelConfig config;
  std::string model_id;  // digest in the file, checked against the content
  std::map<std::string, std::string> metadata;
};

/// Reads config and id and checks the digest. Throws Error on a file that is no model, is truncated or was changed.
ModelInfo read_model_info(const std::string& path);

/// Fills frozen parameters from any .safetensors file with timm names. Throws Error listing missing, surplus and
/// mis-shaped tensors ("model.safetensors: tensor 'x' has shape [512,1280], the model needs [256,1280]").
/// `num_batches_tracked` is ignored.
void load_weights(const std::string& path, ParameterSet& parameters);

}  // namespace kindred
