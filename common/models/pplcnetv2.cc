// PP-LCNetV2, small, base and large, and the retrieval variant of base: depthwise separable blocks whose 5x5
// depthwise convolutions are trained with 3x3 and 1x1 branches beside them. Source: PaddleClas,
// ppcls/arch/backbone/legendary_models/pp_lcnet_v2.py and variant_models/pp_lcnetv2_variant.py (no paper).
// Names are timm's.
#include "common/models/blocks.h"

namespace kindred {

namespace {

struct Stage {
  int channels, kernel;  // channels at scale 1 before the stage; it doubles them
  bool branches, squeeze, split_pointwise, shortcut;
};

constexpr Stage kStages[] = {
    {64, 3, false, false, false, false},
    {128, 3, false, false, false, false},
    {256, 5, true, true, true, false},
    {512, 5, true, false, false, true},
};

struct Variant {
  const char *name, *timm;
  double scale;
  int depths[4];
  int last_stride = 2;      // of the last stage
  int features = 1280;      // outputs of the tail's convolution
  bool plain_tail = false;  // which then has a bias, and no activation behind it
};

constexpr Variant kVariants[] = {
    {"small", "lcnetv2_small", 0.75, {2, 2, 4, 2}},
    {"base", "lcnetv2_base", 1.0, {2, 2, 6, 2}},
    {"large", "lcnetv2_large", 1.25, {2, 2, 8, 2}},
    // The width is that of PaddleClas's GeneralRecognitionV2 recipe.
    {.name = "base_shitu",
     .timm = "",
     .scale = 1.0,
     .depths = {2, 2, 6, 2},
     .last_stride = 1,
     .features = 512,
     .plain_tail = true},
};
constexpr int kStemChannels = 32;

/// The kernels 5, 3 and 1 in parallel; a strided block has no 1x1.
Value depthwise_branches(Graph& graph, Value x, int kernel, int stride) {
  std::vector<Value> sum;
  for (int k = kernel; k >= (stride == 1 ? 1 : 3); k -= 2) {
    sum.push_back(conv_bn_act(graph, concat("dw_conv_list.", sum.size()), x,
                              {.outputs = graph.shape(x)[-1],
                               .kernel = k,
                               .stride = stride,
                               .depthwise = true,
                               .activation = Activation::none}));
  }
  return activation(graph, add(graph, sum), Activation::relu);
}

Value block(Graph& graph, Value x, const Stage& stage, int64_t outputs, int stride) {
  const int64_t inputs = graph.shape(x)[-1];
  Value y =
      stage.branches
          ? depthwise_branches(graph, x, stage.kernel, stride)
          : conv_bn_act(graph, "dw_conv", x,
                        {.outputs = inputs, .kernel = stage.kernel, .stride = stride, .depthwise = true});
  if (stage.squeeze) {
    const auto scope = graph.scope("se");
    y = squeeze_excitation(graph, y,
                           {.reduce_name = "fc1", .expand_name = "fc2", .gate = Activation::sigmoid});
  }
  if (stage.split_pointwise) {
    y = conv_bn_act(graph, "pw_conv.0", y, {.outputs = outputs / 2});
    y = conv_bn_act(graph, "pw_conv.1", y, {.outputs = outputs});
  } else {
    y = conv_bn_act(graph, "pw_conv", y, {.outputs = outputs});
  }
  return stage.shortcut && stride == 1 && inputs == outputs ? add(graph, {y, x}) : y;
}

Value stem(Graph& graph, Value x, double scale) {
  const auto scope = graph.scope("stem");
  const int64_t channels = make_divisible(kStemChannels * scale);
  x = conv_bn_act(graph, "0", x, {.outputs = channels, .kernel = 3, .stride = 2});
  const auto inner = graph.scope("1");
  x = conv_bn_act(graph, "dw_conv", x, {.outputs = channels, .kernel = 3, .depthwise = true});
  return conv_bn_act(graph, "pw_conv", x, {.outputs = make_divisible(2 * kStemChannels * scale)});
}

Value tail(Graph& graph, Value map, const Variant& variant) {
  const Value pooled = global_average_pool(graph, map);
  const Value x = pooled_conv(graph, pooled, variant.features, variant.plain_tail, "conv_head");
  return variant.plain_tail ? x : activation(graph, x, Activation::relu);
}

BackboneParts build(Graph& graph, Value x, const Variant& variant, const BackboneOptions& options,
                    bool with_tail) {
  {
    const auto rate = graph.lr_scope(options.stage_lr_of(0));
    x = stem(graph, x, variant.scale);
  }
  for (size_t s = 0; s < 4; ++s) {
    const auto rate = graph.lr_scope(options.stage_lr_of(s + 1));
    const Stage& stage = kStages[s];
    const int64_t outputs = make_divisible(2 * stage.channels * variant.scale);
    const int stride = s == 3 ? variant.last_stride : 2;
    for (int b = 0; b < variant.depths[s]; ++b) {
      const auto scope = graph.scope(concat("stages.", s, ".", b));
      x = block(graph, x, stage, outputs, b == 0 ? stride : 1);
    }
  }
  return {.map = x, .features = with_tail ? tail(graph, x, variant) : Value{}};
}

bool register_all() {
  for (const Variant& variant : kVariants) {
    register_backbone(
        concat("pplcnetv2_", variant.name), {},
        {.build = [&variant](Graph& graph, Value image, const BackboneOptions& options,
                             bool with_tail) { return build(graph, image, variant, options, with_tail); },
         .timm_name = variant.timm,
         .classifier = "classifier",
         .image = imagenet_spec(224, 256, Interpolation::bilinear)});
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
