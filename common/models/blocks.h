// What several backbones are made of.
#pragma once

#include <string_view>
#include <vector>

#include "common/models/model.h"
#include "common/ops/activation.h"
#include "common/ops/add.h"
#include "common/ops/concat.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/max_pool.h"

namespace kindred {

/// The learnable affine blocks of HGNetV2 learn at this share of the rate, as in PaddleClas.
inline constexpr double kLabLrScale = 0.01;

/// A convolution, its batch norm, an activation, and a learnable affine block ("lab").
struct ConvBnAct {
  int64_t outputs;
  int kernel = 1, stride = 1;  // padded as Window::same does
  bool depthwise = false;      // then outputs is the channels of the input
  Activation activation = Activation::relu;
  bool lab = false;
  std::string_view conv_name = "conv", norm_name = "bn";
};
Value conv_bn_act(Graph& graph, Value x, const ConvBnAct& spec);

/// conv_bn_act under a scope of its own.
Value conv_bn_act(Graph& graph, std::string_view scope, Value x, const ConvBnAct& spec);

/// The 3x3 depthwise convolution of stride 2 between stages of HGNet: "downsample", without activation.
Value strided_depthwise(Graph& graph, Value x);

/// A 1x1 convolution on pooled rows [N,C] -> [N,outputs]: a linear layer whose weight is a convolution's in
/// files.
Value pooled_conv(Graph& graph, Value rows, int64_t outputs, bool bias, std::string_view name);

/// Where the variants of squeeze and excitation differ: the names of their two layers, and the gate.
struct SqueezeExcitation {
  std::string_view reduce_name = "conv_reduce", expand_name = "conv_expand";
  Activation gate = Activation::hardsigmoid;  // as in MobileNetV3
};

/// x gated by gate(expand(relu(reduce(mean x)))), with a quarter of the channels between the two layers.
/// Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
Value squeeze_excitation(Graph& graph, Value x, const SqueezeExcitation& spec = {});

/// x gated by sigmoid("conv"(mean x)), one layer at full width.
/// Source: Lee and Park, "CenterMask", CVPR 2020 (effective squeeze-excitation).
Value effective_squeeze_excitation(Graph& graph, Value x);

/// The multiple of `divisor` nearest to `channels`, at least one of it, never below 0.9 of `channels`.
/// Source: MobileNetV2's reference code.
int64_t make_divisible(double channels, int64_t divisor = 8);

/// Preprocessing of weights trained on ImageNet: the short side to `resize_short`, the middle size x size.
ImageSpec imagenet_spec(int size, int resize_short, Interpolation interpolation);

}  // namespace kindred
