#include "common/ops/batch_norm.h"

#include <memory>

#include "common/ops/affine.h"
#include "common/ops/shape_rules.h"

namespace kindred {

Shape BatchNorm::output_shape(std::span<const Shape> inputs) const {
  expect_rows(type(), inputs);
  if (epilogue.residual && inputs[1] != inputs[0])
    fail_shapes(type(), "a residual shaped as the input", inputs);
  return inputs[0];
}

std::string BatchNorm::attributes() const { return epilogue.text(); }

Value batch_norm(Graph& graph, Value x, const BatchNormSpec& spec, std::string_view name) {
  auto op = std::make_shared<BatchNorm>();
  op->eps = spec.eps;
  op->momentum = spec.momentum;
  op->epilogue = {spec.activation, spec.affine, static_cast<bool>(spec.residual)};
  const Shape channels{graph.shape(x)[-1]};
  const auto parameter = [&](const char* own_name, double start) {
    return graph.declare({.name = own_name,
                          .file_shape = channels,
                          .shape = {},
                          .init = Init::value(start),
                          .decay = false,
                          .exempt = spec.exempt,
                          .lr_scale = spec.lr_scale});
  };
  std::vector<Param> params;
  {
    const auto scope = graph.scope(name);
    params = {parameter("weight", 1), parameter("bias", 0),
              graph.buffer("running_mean", channels, Init::value(0)),
              graph.buffer("running_var", channels, Init::value(1))};
  }
  if (spec.affine) {
    const AffineParams affine = affine_params(graph, spec.affine_name, spec.affine_lr_scale);
    params.insert(params.end(), {affine.scale, affine.bias});
  }
  std::vector<Value> inputs{x};
  if (spec.residual) inputs.push_back(spec.residual);
  const auto scope = graph.scope(name);
  return graph.apply(std::move(op), std::move(inputs), std::move(params));
}

}  // namespace kindred
