// Elementwise sum of two or more tensors: residuals, branches.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/engine/graph.h"
#include "common/ops/shape_rules.h"

namespace kindred {

/// All inputs of one shape, the output too.
struct Add final : Op {
  explicit Add(size_t count) : terms(count) {}
  size_t terms;

  std::string_view type() const override { return "add"; }
  Shape output_shape(std::span<const Shape> inputs) const override {
    expect_rows(type(), inputs);
    for (const Shape& shape : inputs)
      if (shape != inputs[0]) fail_shapes(type(), "inputs of one shape", inputs);
    return inputs[0];
  }
  /// A sum of convolutions of one input is a convolution.
  std::shared_ptr<const Op> merged_with(std::span<const Op* const> branches) const override;
};

/// Requires: at least one term; a single one is returned as it is.
inline Value add(Graph& graph, std::vector<Value> terms) {
  KINDRED_ASSERT(!terms.empty());
  if (terms.size() == 1) return terms[0];
  const auto op = std::make_shared<Add>(terms.size());
  return graph.apply(op, std::move(terms));
}

}  // namespace kindred
