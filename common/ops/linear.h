// Fully connected layer: y = x W^T + b.
#pragma once

#include <optional>
#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// x [...,K], weight [M,K], bias [M] -> [...,M]. Backward reads x. Parameters: weight, bias if any.
struct Linear final : Op {
  int64_t outputs = 0;
  bool bias = true;

  std::string_view type() const override { return "linear"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    Shape out = inputs[0];
    out[-1] = outputs;
    return out;
  }
  Saved saved() const override { return {.inputs = 1}; }
  int64_t macs(std::span<const Shape> inputs) const override { return inputs[0].elements() * outputs; }
  std::string attributes() const override {
    return kindred::concat("outputs=", outputs, bias ? " bias" : "");
  }
};

struct LinearSpec {
  int64_t outputs = 0;
  bool bias = true;
  std::optional<Init> init = {};  // of the weight; unset: Xavier uniform, sqrt(6 / (K + M))
  double lr_scale = 1;
};

/// Declares "weight" (and "bias", zero at first, without decay) under the scope `name`.
Value linear(Graph& graph, Value x, const LinearSpec& spec, std::string_view name);

}  // namespace kindred
