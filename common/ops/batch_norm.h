// Batch normalisation with what networks put behind it: y = scale act(gamma (x - mean) / sqrt(var + eps) +
// beta) + bias
// + residual. In training the statistics are those of the batch over all ranks of the program's communicator.
// Sources: Ioffe and Szegedy, ICML 2015; Chan, Golub, LeVeque, "Updating formulae ... sample variances",
// 1979.
#pragma once

#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/epilogue.h"

namespace kindred {

/// x [...,C] (images or rows), optional residual of the same shape. Backward reads x only.
/// Parameters: weight [C], bias [C], running_mean [C], running_var [C] (buffers), the epilogue's scale and
/// bias. running = (1 - momentum) running + momentum batch; the running variance is the unbiased one over all
/// ranks.
struct BatchNorm final : Op {
  double eps = 1e-5;
  double momentum = 0.1;
  Epilogue epilogue;

  std::string_view type() const override { return "batch_norm"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  Saved saved() const override { return {.inputs = 1}; }
  std::string attributes() const override;
};

struct BatchNormSpec {
  Activation activation = Activation::none;
  bool affine = false;                   // a learnable affine block behind the activation,
  std::string_view affine_name = "lab";  // under this scope (a sibling of the batch norm's),
  double affine_lr_scale = 1;            // learning at this share of the rate
  Value residual = {};                   // added last
  double eps = 1e-5;
  double momentum = 0.1;  // of the new value
  double lr_scale = 1;
  bool exempt = true;  // from weight decay even where a recipe decays biases
};

/// Declares weight (1) and bias (0), both without decay, and the running statistics under the scope `name`.
Value batch_norm(Graph& graph, Value x, const BatchNormSpec& spec, std::string_view name);

}  // namespace kindred
