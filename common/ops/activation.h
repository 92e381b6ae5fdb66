// Activation functions, as an op of their own and as the tail of others.
// hardswish(x) = x relu6(x + 3) / 6, hardsigmoid(x) = clip(x / 6 + 1/2, 0, 1), gelu(x) = x (1 + erf(x / sqrt
// 2)) / 2.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

enum class Activation : uint8_t { none, relu, hardswish, hardsigmoid, sigmoid, gelu };

/// "relu"; "" for none.
constexpr std::string_view activation_text(Activation activation) {
  constexpr std::string_view kNames[] = {"", "relu", "hardswish", "hardsigmoid", "sigmoid", "gelu"};
  return kNames[static_cast<int>(activation)];
}

/// y = act(x), any shape. Backward reads x.
struct ActivationOp final : Op {
  explicit ActivationOp(Activation a) : activation(a) {}
  Activation activation;

  std::string_view type() const override { return "activation"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    return inputs[0];
  }
  Saved saved() const override { return {.inputs = 1}; }
  std::string attributes() const override { return std::string(activation_text(activation)); }
};

/// act(x); x itself for none.
inline Value activation(Graph& graph, Value x, Activation activation) {
  if (activation == Activation::none) return x;
  return graph.apply(std::make_shared<ActivationOp>(activation), {x});
}

}  // namespace kindred
