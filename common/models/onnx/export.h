// Networks as ONNX files, from the fused graph of inference.
#pragma once

#include <map>
#include <string>

#include "common/models/model.h"

namespace kindred {

/// The bytes of an ONNX model (opset 17, IR version 8): input "image" [batch, C, H, W], preprocessed, and
/// `output` ("logits", "embedding" or "features") [batch, D], both f32, for any batch. With `unit_rows` the
/// output ends in an L2 norm, without it it does not, whatever the network's own end is. `metadata` becomes
/// metadata_props, beside "kindred.preprocessing" (the ImageSpec as JSON). Requires: frozen parameters.
/// Throws Error for an op that has no lowering and past protobuf's 2 GiB.
std::string onnx_model(const ModelConfig& config, ParameterSet& parameters, const std::string& output,
                       bool unit_rows, std::map<std::string, std::string> metadata = {});

}  // namespace kindred
