// PP-HGNet, tiny, small and base: blocks that concatenate the outputs of serial 3x3 convolutions and squeeze
// them. Source: PaddleClas, ppcls/arch/backbone/legendary_models/pp_hgnet.py (no paper); the channel gate is
// the "effective squeeze-excitation" of Lee and Park, "CenterMask", CVPR 2020. Names are timm's.
#include "common/models/blocks.h"

namespace kindred {

namespace {

struct Stage {
  int mid, out, blocks;
};

struct Variant {
  const char* name;
  int stem[3];
  int layers;  // 3x3 convolutions in a block
  Stage stages[4];
  int resize_short;  // of the public weights' preprocessing
};

constexpr Variant kVariants[] = {
    {"tiny", {48, 48, 96}, 5, {{96, 224, 1}, {128, 448, 1}, {160, 512, 2}, {192, 768, 1}}, 232},
    {"small", {64, 64, 128}, 6, {{128, 256, 1}, {160, 512, 1}, {192, 768, 2}, {224, 1024, 1}}, 232},
    {"base", {96, 96, 160}, 7, {{192, 320, 1}, {224, 640, 2}, {256, 960, 3}, {288, 1280, 2}}, 236},
};
constexpr int kFeatures = 2048;

Value block(Graph& graph, Value x, const Stage& stage, int layers, bool identity) {
  std::vector<Value> parts = {x};
  for (int l = 0; l < layers; ++l) {
    parts.push_back(
        conv_bn_act(graph, concat("layers.", l), parts.back(), {.outputs = stage.mid, .kernel = 3}));
  }
  const auto scope = graph.scope("aggregation");
  Value y = conv_bn_act(graph, "0", concat_channels(graph, parts), {.outputs = stage.out});
  {
    const auto gate = graph.scope("1");
    y = effective_squeeze_excitation(graph, y);
  }
  return identity ? add(graph, {y, x}) : y;
}

BackboneParts build(Graph& graph, Value x, const Variant& variant, const BackboneOptions& options,
                    bool with_tail) {
  {
    const auto scope = graph.scope("stem");
    const auto rate = graph.lr_scope(options.stage_lr_of(0));
    for (int i = 0; i < 3; ++i) {
      x = conv_bn_act(graph, concat("stem.", i), x,
                      {.outputs = variant.stem[i], .kernel = 3, .stride = i == 0 ? 2 : 1});
    }
    x = max_pool(graph, x, Window::same(3, 2));
  }
  for (size_t s = 0; s < 4; ++s) {
    const auto scope = graph.scope(concat("stages.", s));
    const auto rate = graph.lr_scope(options.stage_lr_of(s + 1));
    if (s > 0) x = strided_depthwise(graph, x);
    for (int b = 0; b < variant.stages[s].blocks; ++b) {
      const auto inner = graph.scope(concat("blocks.", b));
      x = block(graph, x, variant.stages[s], variant.layers, b > 0);
    }
  }
  if (!with_tail) return {.map = x, .features = {}};
  const Value expanded =
      pooled_conv(graph, global_average_pool(graph, x), kFeatures, false, "head.last_conv.0");
  return {.map = x, .features = activation(graph, expanded, Activation::relu)};
}

bool register_all() {
  for (const Variant& variant : kVariants) {
    register_backbone(
        concat("pphgnet_", variant.name), {},
        {.build = [&variant](Graph& graph, Value image, const BackboneOptions& options,
                             bool with_tail) { return build(graph, image, variant, options, with_tail); },
         .timm_name = concat("hgnet_", variant.name),
         .classifier = "head.fc",
         .image = imagenet_spec(224, variant.resize_short, Interpolation::bicubic)});
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
