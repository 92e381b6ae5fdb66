// PP-LCNet at eight scales: depthwise separable blocks with hardswish, squeeze-excitation in the last two, no
// residuals. Source: Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network", 2021; timm's
// names and its bias in conv_head, which PaddleClas does not have (so there are 1280 parameters more than
// Paddle counts).
#include "common/models/blocks.h"

namespace kindred {

namespace {

struct Block {
  int kernel, out, stride;  // out: channels at scale 1
  bool squeeze = false;
};

// timm's stages: PaddleClas's blocks5 is split after its second block.
const std::vector<std::vector<Block>> kStages = {
    {{3, 32, 1}},
    {{3, 64, 2}, {3, 64, 1}},
    {{3, 128, 2}, {3, 128, 1}},
    {{3, 256, 2}, {5, 256, 1}},
    {{5, 256, 1}, {5, 256, 1}, {5, 256, 1}, {5, 256, 1}},
    {{5, 512, 2, true}, {5, 512, 1, true}},
};
constexpr size_t kPaddleStage[] = {1, 2, 3, 4, 4, 5};  // the stem is 0
constexpr int kStemChannels = 16, kFeatures = 1280;

Value depthwise_separable(Graph& graph, Value x, const Block& block, double scale) {
  const int64_t channels = graph.shape(x)[-1];
  x = conv_bn_act(graph, x,
                  {.outputs = channels,
                   .kernel = block.kernel,
                   .stride = block.stride,
                   .depthwise = true,
                   .activation = Activation::hardswish,
                   .conv_name = "conv_dw",
                   .norm_name = "bn1"});
  if (block.squeeze) {
    const auto scope = graph.scope("se");
    x = squeeze_excitation(graph, x);
  }
  return conv_bn_act(graph, x,
                     {.outputs = make_divisible(block.out * scale),
                      .activation = Activation::hardswish,
                      .conv_name = "conv_pw",
                      .norm_name = "bn2"});
}

BackboneParts build(Graph& graph, Value x, double scale, const BackboneOptions& options, bool with_tail) {
  {
    const auto rate = graph.lr_scope(options.stage_lr_of(0));
    x = conv_bn_act(graph, x,
                    {.outputs = make_divisible(kStemChannels * scale),
                     .kernel = 3,
                     .stride = 2,
                     .activation = Activation::hardswish,
                     .conv_name = "conv_stem",
                     .norm_name = "bn1"});
  }
  for (size_t s = 0; s < kStages.size(); ++s) {
    const auto rate = graph.lr_scope(options.stage_lr_of(kPaddleStage[s]));
    for (size_t b = 0; b < kStages[s].size(); ++b) {
      const auto scope = graph.scope(concat("blocks.", s, ".", b));
      x = depthwise_separable(graph, x, kStages[s][b], scale);
    }
  }
  if (!with_tail) return {.map = x, .features = {}};
  const Value expanded = pooled_conv(graph, global_average_pool(graph, x), kFeatures, true, "conv_head");
  return {.map = x, .features = activation(graph, expanded, Activation::hardswish)};
}

bool register_all() {
  struct Scale {
    const char* name;
    double value;
    const char* timm;
  };
  constexpr Scale scales[] = {{"x0_25", 0.25, ""},        {"x0_35", 0.35, "lcnet_035"},
                              {"x0_5", 0.5, "lcnet_050"}, {"x0_75", 0.75, "lcnet_075"},
                              {"x1_0", 1.0, "lcnet_100"}, {"x1_5", 1.5, "lcnet_150"},
                              {"x2_0", 2.0, ""},          {"x2_5", 2.5, ""}};
  for (const Scale& scale : scales) {
    register_backbone(
        concat("pplcnet_", scale.name), {},
        {.build = [value = scale.value](
                      Graph& graph, Value image, const BackboneOptions& options,
                      bool with_tail) { return build(graph, image, value, options, with_tail); },
         .stages = 6,
         .timm_name = scale.timm,
         .classifier = "classifier",
         .image = imagenet_spec(224, 256, Interpolation::bilinear)});
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
