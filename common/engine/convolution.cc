#include "common/engine/convolution.h"

namespace kindred {

std::string_view pass_text(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return "forward";
    case ConvolutionPass::backward_data:
      return "backward_data";
    case ConvolutionPass::backward_weights:
      return "backward_weights";
  }
  return "";
}

bool Convolution::pointwise() const {
  const bool one_tap = kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1;
  return one_tap && top == 0 && left == 0 && bottom == 0 && right == 0 && groups == 1;
}

std::string Convolution::text() const {
  const Shape weights{outputs[3], kernel_h, kernel_w, images[3] / groups};
  return concat(pass_text(pass), " ", dtype_text(dtype), " x", images, " w", weights, " y", outputs,
                " s=", stride_h, "x", stride_w, " p=", top, ",", left, ",", bottom, ",", right,
                " g=", groups);
}

}  // namespace kindred
