#include "common/ops/conv_tail.h"

#include "common/ops/add.h"
#include "common/ops/affine.h"
#include "common/ops/batch_norm.h"

namespace kindred {

bool ConvTail::absorb(const Op& next, int input) {
  if (const auto* norm = dynamic_cast<const BatchNorm*>(&next)) {
    if (batch_norm || !epilogue.empty() || input != 0) return false;
    *this = {true, norm->eps, norm->epilogue};
    return true;
  }
  if (epilogue.residual) return false;
  if (const auto* activation = dynamic_cast<const ActivationOp*>(&next)) {
    if (epilogue.activation != Activation::none || epilogue.affine) return false;
    epilogue.activation = activation->activation;
    return true;
  }
  if (dynamic_cast<const Affine*>(&next) != nullptr && !epilogue.affine) return epilogue.affine = true;
  if (const auto* sum = dynamic_cast<const Add*>(&next)) return epilogue.residual = sum->terms == 2;
  return false;
}

std::string ConvTail::text() const {
  const std::string rest = epilogue.text();
  return batch_norm ? concat("batch_norm", rest.empty() ? "" : " ", rest) : rest;
}

ConvParameters conv_parameters(std::span<const Tensor> parameters, bool bias, const ConvTail& tail) {
  ConvParameters out;
  size_t next = 0;
  out.weight = parameters[next++];
  if (bias) out.bias = parameters[next++];
  if (tail.batch_norm)
    for (Tensor* tensor : {&out.gamma, &out.beta, &out.mean, &out.variance}) *tensor = parameters[next++];
  if (tail.epilogue.affine)
    for (Tensor* tensor : {&out.scale, &out.shift}) *tensor = parameters[next++];
  KINDRED_ASSERT(next == parameters.size());
  return out;
}

}  // namespace kindred
