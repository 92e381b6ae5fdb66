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
/// same network and weights have the same id. Values are stored as `dtype`: f32, bf16 or f16. Atomic:
/// temporary name, fsync, rename. Throws Error when the set lacks a tensor of the network.
std::string save_model(const std::string& path, const ModelConfig& config, const ParameterSet& parameters,
                       const std::map<std::string, std::string>& extra_metadata = {},
                       DType dtype = DType::f32);

struct ModelInfo {
  ModelConfig config;
  std::string model_id;  // digest in the file, checked against the content
  std::map<std::string, std::string> metadata;
};

/// Reads config and id and checks the digests of content and metadata. Throws Error on a file that is no
/// model, is truncated or was changed. Cost: the whole file is read once.
ModelInfo read_model_info(const std::string& path);

/// Whether a file must fit its network tensor by tensor.
enum class Fit : uint8_t { exact, partial };

struct LoadReport {
  std::vector<std::string> fresh;  // parameters of heads that were left as they were
  std::string differences;         // missing, surplus and mis-shaped tensors in words; "" when there are none
};

/// Fills frozen parameters from any .safetensors file with timm names, in f32, bf16, f16 or f64. An exact fit
/// throws Error listing every missing, surplus and mis-shaped tensor ("model.safetensors: tensor 'x' has
/// shape [512,1280], the model needs [256,1280]"); a partial one fills what fits and reports that list, and
/// throws when nothing fits. `num_batches_tracked` is ignored.
LoadReport load_weights(const std::string& path, ParameterSet& parameters, Fit fit = Fit::exact);

/// The same as a starting point for other classes or another embedding: heads (the linear `classifier` of the
/// backbone, "neck.*", parameters of losses) stay as they are where the file has none or another shape, and a
/// file may have heads that the network has not.
LoadReport load_backbone_weights(const std::string& path, const ModelConfig& config, ParameterSet& parameters,
                                 Fit fit = Fit::exact);

}  // namespace kindred
