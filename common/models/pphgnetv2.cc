// PP-HGNetV2, B0 to B6: a two-branch stem, blocks of plain (stages 0, 1) or light (stages 2, 3) convolutions,
// and in B0 to B3 a learnable affine (LAB) after every activation. Source: PaddleClas,
// ppcls/arch/backbone/legendary_models/pp_hgnet_v2.py (no paper). Names are timm's.
#include "common/models/blocks.h"
#include "common/ops/affine.h"

namespace kindred {

namespace {

struct Stage {
  int mid, out, blocks;
};

struct Variant {
  int stem_mid, stem_out;
  int layers;  // convolutions in a block
  Stage stages[4];
  bool lab;
};

constexpr Variant kVariants[] = {
    {16, 16, 3, {{16, 64, 1}, {32, 256, 1}, {64, 512, 2}, {128, 1024, 1}}, true},
    {24, 32, 3, {{32, 64, 1}, {48, 256, 1}, {96, 512, 2}, {192, 1024, 1}}, true},
    {24, 32, 4, {{32, 96, 1}, {64, 384, 1}, {128, 768, 3}, {256, 1536, 1}}, true},
    {24, 32, 5, {{32, 128, 1}, {64, 512, 1}, {128, 1024, 3}, {256, 2048, 1}}, true},
    {32, 48, 6, {{48, 128, 1}, {96, 512, 1}, {192, 1024, 3}, {384, 2048, 1}}, false},
    {32, 64, 6, {{64, 128, 1}, {128, 512, 2}, {256, 1024, 5}, {512, 2048, 2}}, false},
    {48, 96, 6, {{96, 192, 2}, {192, 512, 3}, {384, 1024, 6}, {768, 2048, 3}}, false},
};
constexpr int kFeatures = 2048;
constexpr size_t kFirstLightStage = 2;

Value stem(Graph& graph, Value x, const Variant& variant, const BackboneOptions& options) {
  const auto scope = graph.scope("stem");
  const auto rate = graph.lr_scope(options.stage_lr_of(0));
  const int mid = variant.stem_mid;
  x = conv_bn_act(graph, "stem1", x, {.outputs = mid, .kernel = 3, .stride = 2, .lab = variant.lab});
  // 2x2 windows keep the size by one row and column of padding at the bottom and the right.
  Value convolved = conv_bn_act(graph, "stem2a", x, {.outputs = mid / 2, .kernel = 2, .lab = variant.lab});
  convolved = conv_bn_act(graph, "stem2b", convolved, {.outputs = mid, .kernel = 2, .lab = variant.lab});
  const bool zero = options.stem_pool == BackboneOptions::StemPool::zero;
  const Value pooled = max_pool(graph, x, Window::same(2), zero ? PoolPadding::zero : PoolPadding::lowest);
  x = concat_channels(graph, {pooled, convolved});
  x = conv_bn_act(graph, "stem3", x, {.outputs = mid, .kernel = 3, .stride = 2, .lab = variant.lab});
  return conv_bn_act(graph, "stem4", x, {.outputs = variant.stem_out, .lab = variant.lab});
}

/// 1x1 without activation, then depthwise 5x5.
Value light_conv(Graph& graph, Value x, int out, bool lab) {
  x = conv_bn_act(graph, "conv1", x, {.outputs = out, .activation = Activation::none});
  return conv_bn_act(graph, "conv2", x, {.outputs = out, .kernel = 5, .depthwise = true, .lab = lab});
}

Value block(Graph& graph, Value x, const Stage& stage, int layers, bool light, bool lab, bool identity) {
  std::vector<Value> parts = {x};
  for (int l = 0; l < layers; ++l) {
    const auto scope = graph.scope(concat("layers.", l));
    parts.push_back(light
                        ? light_conv(graph, parts.back(), stage.mid, lab)
                        : conv_bn_act(graph, parts.back(), {.outputs = stage.mid, .kernel = 3, .lab = lab}));
  }
  const auto scope = graph.scope("aggregation");
  Value y = conv_bn_act(graph, "0", concat_channels(graph, parts), {.outputs = stage.out / 2, .lab = lab});
  y = conv_bn_act(graph, "1", y, {.outputs = stage.out, .lab = lab});
  return identity ? add(graph, {y, x}) : y;
}

Value tail(Graph& graph, Value map, bool lab) {
  const auto scope = graph.scope("head.last_conv");
  Value x = pooled_conv(graph, global_average_pool(graph, map), kFeatures, false, "0");
  x = activation(graph, x, Activation::relu);
  return lab ? affine(graph, x, "2", kLabLrScale) : x;
}

BackboneParts build(Graph& graph, Value x, const Variant& variant, const BackboneOptions& options,
                    bool with_tail) {
  x = stem(graph, x, variant, options);
  for (size_t s = 0; s < 4; ++s) {
    const auto scope = graph.scope(concat("stages.", s));
    const auto rate = graph.lr_scope(options.stage_lr_of(s + 1));
    if (s > 0) x = strided_depthwise(graph, x);
    for (int b = 0; b < variant.stages[s].blocks; ++b) {
      const auto inner = graph.scope(concat("blocks.", b));
      x = block(graph, x, variant.stages[s], variant.layers, s >= kFirstLightStage, variant.lab, b > 0);
    }
  }
  return {.map = x, .features = with_tail ? tail(graph, x, variant.lab) : Value{}};
}

bool register_all() {
  int number = 0;
  for (const Variant& variant : kVariants) {
    register_backbone(
        concat("pphgnetv2_b", number), {},
        {.build = [&variant](Graph& graph, Value image, const BackboneOptions& options,
                             bool with_tail) { return build(graph, image, variant, options, with_tail); },
         .timm_name = concat("hgnetv2_b", number),
         .classifier = "head.fc",
         .image = imagenet_spec(224, 232, Interpolation::bicubic)});
    ++number;
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
