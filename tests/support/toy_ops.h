// Small ops for tests of the engine: one for each thing a kernel may want (parameters, several inputs, its
// input or its output again in backward, state, scratch). Values are rows of C: [..., C].
#pragma once

#include "common/engine/graph.h"

namespace kindred::test {

/// y = x * w1 * w2 * ... (+ a second input); each w is a parameter [C].
struct ToyScale : Op {
  int scales = 1;
  bool add = false;

  std::string_view type() const override { return "toy_scale"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  Saved saved() const override { return {.inputs = 1}; }
  int64_t macs(std::span<const Shape> inputs) const override { return inputs[0].elements(); }
  std::string attributes() const override { return concat("scales=", scales); }
  /// With another scale, and with an add whichever side it stands on.
  std::shared_ptr<const Op> fused_with(const Op& next, int input) const override;
};

/// y = a + b. Writes the gradient of b through scratch, to have some.
struct ToyAdd : Op {
  std::string_view type() const override { return "toy_add"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
};

/// y = sin x; reads x again.
struct ToySine : Op {
  std::string_view type() const override { return "toy_sine"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Saved saved() const override { return {.inputs = 1}; }
};

/// y = 1 / (1 + exp(-x)); reads y again.
struct ToySigmoid : Op {
  std::string_view type() const override { return "toy_sigmoid"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Saved saved() const override { return {.output = true}; }
};

/// y = x * |x|; keeps |x| in its state and reads neither x nor y again.
struct ToySquare : Op {
  std::string_view type() const override { return "toy_square"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
};

/// An op that no kernel is registered for.
struct ToyNowhere : Op {
  std::string_view type() const override { return "toy_nowhere"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
};

/// Declares "weight" [C] under the current scope and applies a ToyScale.
Value toy_scale(Graph& graph, Value x, bool trainable = true);
template <class O>
Value toy(Graph& graph, std::vector<Value> inputs) {
  return graph.apply(std::make_shared<O>(), std::move(inputs));
}

}  // namespace kindred::test
