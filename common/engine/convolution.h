// A convolution as vendors are asked for it: one pass over fixed shapes. Knows no vendor and no graph.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/tensor.h"

namespace kindred {

enum class ConvolutionPass : uint8_t { forward, backward_data, backward_weights };
std::string_view pass_text(ConvolutionPass pass);

/// Dense or grouped, NHWC in and out, weights OHWI: [O, kernel_h, kernel_w, C / groups]. All three tensors
/// are of `dtype`, sums are f32. Padding may differ from side to side; all passes of a node share it.
struct Convolution {
  ConvolutionPass pass = ConvolutionPass::forward;
  DType dtype = DType::f32;
  Shape images, outputs;  // [N,H,W,C], [N,oh,ow,O]
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int top = 0, left = 0, bottom = 0, right = 0;  // padding
  int groups = 1;

  int64_t weight_elements() const { return outputs[3] * kernel_h * kernel_w * (images[3] / groups); }
  int64_t flops() const { return 2 * outputs.rows() * weight_elements(); }
  /// One tap, stride 1, no padding, one group: a matrix product over pixels.
  bool pointwise() const;
  /// All there is to know: "forward bf16 x[64,224,224,3] w[32,3,3,3] y[64,112,112,32] s=2x2 p=1,1,1,1 g=1".
  /// Weights in OHWI; padding top, left, bottom, right. Equal problems have equal texts.
  std::string text() const;
};

}  // namespace kindred
