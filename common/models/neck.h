// From the backbone to unit vectors: pool (or tail features) -> linear -> (batch norm) -> L2.
// Source of the batch norm: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person
// Re-identification", 2019.
#pragma once

#include "common/models/model.h"

namespace kindred {

/// What a neck gives, both [N, config.embedding]: the rows before L2, and unit rows.
struct NeckParts {
  Value raw, embedding;
};

/// Reads parts.features when config.neck_tail is set, else the pooled
/// parts.map. Parameters: "neck.fc.weight" [D, F], "neck.fc.bias" (none before a batch norm), "neck.bn.*".
NeckParts build_neck(Graph& graph, const BackboneParts& parts, const ModelConfig& config);

}  // namespace kindred
