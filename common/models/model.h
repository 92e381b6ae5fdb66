// A model is a function from Graph to Value. Backbones register here under their PaddleClas name and answer
// to their timm name as well.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/engine/graph.h"
#include "common/image/image_spec.h"
#include "common/ops/dropout.h"

namespace kindred {

/// How a network is built, besides its shape. All but the stem's pool and the dropout's scale concern
/// training alone.
struct BackboneOptions {
  /// Padding of the HGNetV2 stem's pool: Paddle pads with -inf, timm with 0.
  enum class StemPool : uint8_t { inf, zero } stem_pool = StemPool::inf;
  double drop_path = 0;  // largest rate, Swin
  double dropout = 0;    // before the classifier or the neck
  DropoutScale dropout_scale = DropoutScale::upscale_in_train;
  /// Factors on the learning rate, from the stem to the last stage ("lr_mult_list" of PaddleClas): none, or
  /// one for each of the backbone's stages. What lies behind the last map learns at the full rate.
  std::vector<double> stage_lr;

  double stage_lr_of(size_t stage) const { return stage_lr.empty() ? 1 : stage_lr[stage]; }
};

/// What a backbone builds. map: [N, h, w, C] after the last stage. features: [N, F] before the classifier
/// (global pool, and last_conv with its activation where the network has one).
struct BackboneParts {
  Value map, features;
};

/// Builds the network over image [N,H,W,C]. `with_tail`: also the layers between map and features.
using BackboneFn = std::function<BackboneParts(Graph&, Value image, const BackboneOptions&, bool with_tail)>;

/// What the file of a model says about its network.
struct ModelConfig {
  std::string arch = "pphgnetv2_b0";  // canonical name
  int classes = 0;                    // > 0: a classifier, output "logits"
  int embedding = 0;       // > 0: a retrieval network, output "embedding", unit rows of this length
  bool neck_tail = false;  // neck reads features (true) or the pooled map (false)
  bool bnneck = false;     // batch norm between FC and L2
  BackboneOptions backbone;
  ImageSpec image;

  Json to_json() const;
  /// Throws Error naming `what` and the key: unknown architecture, values out of range, both or neither of
  /// classes and embedding.
  static ModelConfig from_json(const Json& json, std::string_view what);
};

struct BackboneEntry {
  BackboneFn build;
  int stages = 5;             // that can have learning rates of their own, the stem among them
  std::string timm_name;      // "" when timm has no such network
  std::string classifier;     // timm's name of the last linear: "head.fc", "classifier"
  ImageSpec image;            // preprocessing of the public weights
  double classifier_std = 0;  // of the last linear's fresh weights; 0: Xavier's uniform bound
};

/// Throws Error with the nearest name; accepts PaddleClas names (PPHGNetV2_B0, PPLCNet_x1_0,
/// SwinTransformer_tiny_patch4_window7_224), ours (pphgnetv2_b0) and timm's (hgnetv2_b0), upper or lower
/// case.
const BackboneEntry& find_backbone(std::string_view name);
/// The canonical name of any alias.
std::string canonical_arch(std::string_view name);
std::vector<std::string> backbone_names();
/// Factors on the learning rate, such as "0 0.1 0.1 0.5 1", for BackboneOptions::stage_lr. Throws Error
/// unless they are numbers from 0 on, none or one for each stage of the architecture.
std::vector<double> parse_stage_lr(std::string_view text, std::string_view arch);
/// For registration lines.
bool register_backbone(std::string canonical, std::vector<std::string> aliases, BackboneEntry entry);

/// The whole network for a batch: input "image" [N, H, W, C]; outputs by config: "logits" [N, classes] or
/// "embedding" [N, D] (and "features" [N, F]); with `raw` also "raw" [N, D], the embedding before L2.
Graph build_model(ParameterSet& parameters, const ModelConfig& config, int64_t batch, bool raw = false);

}  // namespace kindred
