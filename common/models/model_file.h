// A model is one .safetensors file: tensors under timm's names and shapes (OIHW), `__metadata__` with the
// architecture, embedding dimension, preprocessing, training config and a digest (the model id).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/engine/parameters.h"
#include "common/models/model.h"

namespace kindred {

/// Writes the tensors of the network that `config` describes; what else the set holds (a loss's class
/// centres) stays out. Returns the model id: hex SHA-256 over config and tensors, so that two files with the
/// same network and weights have the same id. Atomic: temporary name, fsync, rename. Throws Error when the
/// set lacks a tensor of the network.
std::string save_model(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                       const std::map<std::string, std::string>& extra_metadata = {});

struct ModelInfo {
  ModelConfig config;
  std::string model_id;  // digest in the file, checked against the content
  std::map<std::string, std::string> metadata;
};

/// Reads config and id and checks the digests of content and metadata. Throws Error on a file that is no
/// model, is truncated or was changed. Cost: the whole file is read once.
ModelInfo read_model_info(const std::string& path);

/// Fills frozen parameters from any .safetensors file with timm names. Throws Error listing missing, surplus
/// and mis-shaped tensors ("model.safetensors: tensor 'x' has shape [512,1280], the model needs [256,1280]").
/// `num_batches_tracked` is ignored.
void load_weights(const std::string& path, ParameterSet& parameters);

/// A starting point for other classes or another embedding: fills what fits and leaves heads (the linear
/// `classifier` of the backbone, "neck.*", parameters of losses) as they are where the file has none or
/// another shape. Returns the names left as they are. Throws Error when anything of the backbone itself is
/// missing or mis-shaped.
std::vector<std::string> load_backbone_weights(const std::string& path, const ModelConfig& config,
                                               ParameterSet& parameters);

}  // namespace kindred
