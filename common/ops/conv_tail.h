// What the inference passes fold into a convolution: a batch norm, then an epilogue.
#pragma once

#include <span>
#include <string>

#include "common/base/tensor.h"
#include "common/engine/op.h"
#include "common/ops/epilogue.h"

namespace kindred {

struct ConvTail {
  bool batch_norm = false;
  double eps = 0;  // the batch norm's
  Epilogue epilogue;

  /// Takes in `next`, which reads the convolution as its input number `input`. False, and nothing changed,
  /// when it cannot: the order is batch norm, activation, affine, residual, and each at most once.
  bool absorb(const Op& next, int input);
  /// "batch_norm relu affine"
  std::string text() const;
};

/// A convolution's parameters by name; empty tensors for what it has not.
struct ConvParameters {
  Tensor weight, bias;
  Tensor gamma, beta, mean, variance;  // of the batch norm
  Tensor scale, shift;                 // of the affine block, [1] each
};

/// Splits a list in the ops' order: weight, bias, the batch norm's four, the affine block's two.
ConvParameters conv_parameters(std::span<const Tensor> parameters, bool bias, const ConvTail& tail);

}  // namespace kindred
