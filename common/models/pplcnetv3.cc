// PP-LCNetV3 at four scales: depthwise separable blocks in which every convolution is trained as up to six
// parallel branches, with learnable affine blocks behind the sum and behind its activation. Source:
// PaddleOCR, ppocr/modeling/backbones/rec_lcnetv3.py (no paper), in its configuration for text detection.
// Nobody published it as a classifier: the tail is PP-LCNet's. Names are PaddleOCR's.
#include "common/models/blocks.h"
#include "common/ops/affine.h"
#include "common/ops/batch_norm.h"

namespace kindred {

namespace {

struct Block {
  int kernel, out, stride;  // out: channels at scale 1
  bool squeeze = false;
};

// "blocks2" to "blocks6".
const std::vector<std::vector<Block>> kStages = {
    {{3, 32, 1}},
    {{3, 64, 2}, {3, 64, 1}},
    {{3, 128, 2}, {3, 128, 1}},
    {{3, 256, 2}, {5, 256, 1}, {5, 256, 1}, {5, 256, 1}, {5, 256, 1}},
    {{5, 512, 2, true}, {5, 512, 1, true}, {5, 512, 1}, {5, 512, 1}},
};
constexpr int kStemChannels = 16, kFeatures = 1280, kDivisor = 16, kFirstStage = 2;
constexpr int kBranches = 4;            // convolutions of the full kernel in a layer
constexpr double kAffineLrScale = 0.1;  // the affine blocks' share of the learning rate

/// The branches' sum, an affine block, and unless the layer is strided an activation with an affine block of
/// its own.
Value branched_layer(Graph& graph, std::string_view name, Value x, ConvBnAct spec) {
  const auto scope = graph.scope(name);
  spec.activation = Activation::none;
  std::vector<Value> sum;
  if (graph.shape(x)[-1] == spec.outputs && spec.stride == 1)
    sum.push_back(batch_norm(graph, x, {.exempt = false}, "identity"));
  for (int b = 0; b < kBranches; ++b) sum.push_back(conv_bn_act(graph, concat("conv_kxk.", b), x, spec));
  if (spec.kernel > 1) {
    spec.kernel = 1;
    sum.push_back(conv_bn_act(graph, "conv_1x1", x, spec));
  }
  x = affine(graph, add(graph, sum), "lab", kAffineLrScale);
  if (spec.stride == 1)
    return affine(graph, activation(graph, x, Activation::hardswish), "act.lab", kAffineLrScale);
  affine_params(graph, "act.lab", kAffineLrScale);  // public weights have them here too, unused
  return x;
}

Value block(Graph& graph, Value x, const Block& block, double scale) {
  x = branched_layer(
      graph, "dw_conv", x,
      {.outputs = graph.shape(x)[-1], .kernel = block.kernel, .stride = block.stride, .depthwise = true});
  if (block.squeeze) {
    const auto scope = graph.scope("se");
    x = squeeze_excitation(graph, x, {.reduce_name = "conv1", .expand_name = "conv2"});
  }
  return branched_layer(graph, "pw_conv", x, {.outputs = make_divisible(block.out * scale, kDivisor)});
}

BackboneParts build(Graph& graph, Value x, double scale, const BackboneOptions& options, bool with_tail) {
  {
    const auto rate = graph.lr_scope(options.stage_lr_of(0));
    x = conv_bn_act(graph, "conv1", x,
                    {.outputs = make_divisible(kStemChannels * scale, kDivisor),
                     .kernel = 3,
                     .stride = 2,
                     .activation = Activation::none});
  }
  for (size_t s = 0; s < kStages.size(); ++s) {
    const auto rate = graph.lr_scope(options.stage_lr_of(s + 1));
    for (size_t b = 0; b < kStages[s].size(); ++b) {
      const auto scope = graph.scope(concat("blocks", kFirstStage + s, ".", b));
      x = block(graph, x, kStages[s][b], scale);
    }
  }
  if (!with_tail) return {.map = x, .features = {}};
  const Value expanded = pooled_conv(graph, global_average_pool(graph, x), kFeatures, false, "last_conv");
  return {.map = x, .features = activation(graph, expanded, Activation::hardswish)};
}

bool register_all() {
  constexpr std::pair<const char*, double> scales[] = {
      {"x0_5", 0.5}, {"x0_75", 0.75}, {"x1_0", 1.0}, {"x1_5", 1.5}};
  for (const auto& [name, scale] : scales) {
    register_backbone(
        concat("pplcnetv3_", name), {},
        {.build = [value = scale](Graph& graph, Value image, const BackboneOptions& options,
                                  bool with_tail) { return build(graph, image, value, options, with_tail); },
         .stages = 6,
         .timm_name = "",
         .classifier = "fc",
         .image = imagenet_spec(224, 256, Interpolation::bilinear)});
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
