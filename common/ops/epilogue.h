// What a batch norm or a convolution does to its result v before writing it: y = scale act(v) + bias +
// residual.
#pragma once

#include <string>

#include "common/ops/activation.h"

namespace kindred {

struct Epilogue {
  Activation activation = Activation::none;
  bool affine = false;    // parameters scale [1] and bias [1] come last
  bool residual = false;  // the last input, shaped as the output

  bool empty() const { return activation == Activation::none && !affine && !residual; }
  /// "relu affine residual"
  std::string text() const;
};

}  // namespace kindred
