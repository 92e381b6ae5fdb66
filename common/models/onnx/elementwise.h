// Lowerings that several ops share.
#pragma once

#include <string>

#include "common/models/onnx/lowering.h"
#include "common/ops/activation.h"

namespace kindred {

/// act(x) in as few nodes as opset 17 allows; x itself for none.
std::string lower_activation(NodeLowering& node, std::string x, Activation activation);

/// scale x + bias with two numbers.
std::string lower_affine(NodeLowering& node, const std::string& x, float scale, float bias);

}  // namespace kindred
