// Two-dimensional convolution, dense or grouped, NHWC.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "common/engine/graph.h"
#include "common/ops/conv_tail.h"
#include "common/ops/window.h"

namespace kindred {

/// images [N,H,W,C], weight [O, C/groups, kh, kw] (OHWI in memory), bias [O] -> [N,oh,ow,O]. Backward reads
/// images. Parameters in order: weight, bias if any, the tail's. A residual is input 1.
struct Conv2d final : Op {
  int64_t outputs = 0;
  Window window;
  int groups = 1;
  bool bias = false;
  ConvTail tail;  // inference only

  std::string_view type() const override { return "conv2d"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  Saved saved() const override { return {.inputs = 1}; }
  int64_t macs(std::span<const Shape> inputs) const override;
  std::string attributes() const override;
  std::shared_ptr<const Op> fused_with(const Op& next, int input) const override;
};

struct Conv2dSpec {
  int64_t outputs = 0;
  Window window;
  int groups = 1;
  bool bias = false;
  std::optional<Init> init = {};  // of the weight; unset: Kaiming normal, fan in, gain of relu
  double lr_scale = 1;
};

/// Declares "weight" (and "bias", zero at first, without decay) under the scope `name`.
Value conv2d(Graph& graph, Value images, const Conv2dSpec& spec, std::string_view name);

/// N(0, sqrt(2 / fan_in)). Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. 10.
Init kaiming_normal(int64_t fan_in);

}  // namespace kindred
