// Parallel convolutions of one input whose sum is one convolution: how re-parameterised blocks run in
// inference. Source: Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, section 3.3.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/engine/graph.h"

namespace kindred {

/// One summand: a convolution, or a batch norm of the input alone.
struct ConvBranch {
  bool identity = false;  // no convolution: one tap of weight 1
  int kernel_h = 1, kernel_w = 1;
  int first_row = 0, first_column = 0;  // where its kernel begins in the merged one
  bool bias = false, batch_norm = false;
  double eps = 0;  // the batch norm's
};

/// images [N,H,W,C] -> [N,oh,ow,O]: `conv` (a Conv2d or DepthwiseConv2d with bias and tail) with the sum of
/// the branches' kernels, smaller ones placed inside the largest, and of their biases. Inference only.
/// Parameters in order: of each branch its weight, its bias and its batch norm's four, as far as it has them;
/// scale [1] and bias [1] of an affine block that the weights take in; the tail's. A residual is input 1.
struct BranchedConv final : Op {
  std::vector<ConvBranch> branches;
  bool affine = false;
  std::shared_ptr<const Op> conv;

  std::string_view type() const override { return "branched_conv"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return conv->output_shape(inputs); }
  int64_t macs(std::span<const Shape> inputs) const override { return conv->macs(inputs); }
  std::string attributes() const override;
  std::shared_ptr<const Op> fused_with(const Op& next, int input) const override;

  /// Of the merged kernel, as in memory: [kh,kw,C] when depthwise, else [O,kh,kw,C/groups].
  Shape weight_shape(const Shape& images) const;
};

/// The sum of `branches` over one input as one op, or null. They merge when each is a convolution (all of one
/// kind, stride and number of groups) or the batch norm of the input, without activations, and every kernel
/// lies inside the largest.
std::shared_ptr<const Op> merge_convolutions(std::span<const Op* const> branches);

}  // namespace kindred
