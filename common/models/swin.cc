// Swin Transformer, tiny to large: attention in windows that every second block shifts, four stages with
// merged patches. Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
// Windows", ICCV 2021. Names, and the windows of maps of any size, are timm's: an axis no longer than the
// window has one window and no shift.
#include "common/models/blocks.h"
#include "common/ops/conv2d.h"
#include "common/ops/drop_path.h"
#include "common/ops/layer_norm.h"
#include "common/ops/linear.h"
#include "common/ops/patch_merge.h"
#include "common/ops/window_attention.h"

namespace kindred {

namespace {

struct Variant {
  const char *name, *alias;
  int channels;
  int depths[4];
  int heads;  // of the first stage; they double with the channels
  int window, image_size;
};

constexpr Variant kVariants[] = {
    {"tiny_224", "tiny_patch4_window7_224", 96, {2, 2, 6, 2}, 3, 7, 224},
    {"small_224", "small_patch4_window7_224", 96, {2, 2, 18, 2}, 3, 7, 224},
    {"base_224", "base_patch4_window7_224", 128, {2, 2, 18, 2}, 4, 7, 224},
    {"large_224", "large_patch4_window7_224", 192, {2, 2, 18, 2}, 6, 7, 224},
    {"base_384", "base_patch4_window12_384", 128, {2, 2, 18, 2}, 4, 12, 384},
    {"large_384", "large_patch4_window12_384", 192, {2, 2, 18, 2}, 6, 12, 384},
};
constexpr int kPatch = 4, kMlpRatio = 4;
constexpr double kStd = 0.02;  // of every linear layer's fresh weights

Value dense(Graph& graph, Value x, int64_t outputs, std::string_view name, bool bias = true) {
  return linear(graph, x, {.outputs = outputs, .bias = bias, .init = Init::truncated_std(kStd)}, name);
}

Value attention(Graph& graph, Value x, int heads, int window, bool shifted) {
  const auto scope = graph.scope("attn");
  const Shape map = graph.shape(x);
  WindowAttention attributes;
  attributes.heads = heads;
  attributes.window_h = static_cast<int>(std::min<int64_t>(map[1], window));
  attributes.window_w = static_cast<int>(std::min<int64_t>(map[2], window));
  attributes.shift_h = shifted && map[1] > window ? window / 2 : 0;
  attributes.shift_w = shifted && map[2] > window ? window / 2 : 0;
  const Value qkv = dense(graph, x, 3 * map[3], "qkv");
  const Param qkv_bias = graph.nodes()[static_cast<size_t>(qkv.id)].parameters[1];
  return dense(graph, window_attention(graph, qkv, qkv_bias, attributes), map[3], "proj");
}

Value mlp(Graph& graph, Value x) {
  const auto scope = graph.scope("mlp");
  const int64_t channels = graph.shape(x)[-1];
  const Value hidden = activation(graph, dense(graph, x, kMlpRatio * channels, "fc1"), Activation::gelu);
  return dense(graph, hidden, channels, "fc2");
}

Value block(Graph& graph, Value x, int heads, int window, bool shifted, double drop_rate) {
  x = drop_path(graph, x, attention(graph, layer_norm(graph, x, "norm1"), heads, window, shifted), drop_rate);
  return drop_path(graph, x, mlp(graph, layer_norm(graph, x, "norm2")), drop_rate);
}

/// Half the size, twice the channels.
Value downsample(Graph& graph, Value x) {
  const auto scope = graph.scope("downsample");
  const int64_t channels = graph.shape(x)[-1];
  return dense(graph, layer_norm(graph, patch_merge(graph, x), "norm"), 2 * channels, "reduction", false);
}

Value embed_patches(Graph& graph, Value image, int channels) {
  const auto scope = graph.scope("patch_embed");
  Window window = Window::valid(kPatch, kPatch);
  // Zeros complete the last patches.
  window.bottom = static_cast<int>((kPatch - graph.shape(image)[1] % kPatch) % kPatch);
  window.right = static_cast<int>((kPatch - graph.shape(image)[2] % kPatch) % kPatch);
  const Value x = conv2d(graph, image, {.outputs = channels, .window = window, .bias = true}, "proj");
  return layer_norm(graph, x, "norm");
}

BackboneParts build(Graph& graph, Value image, const Variant& variant, const BackboneOptions& options,
                    bool with_tail) {
  Value x;
  {
    const auto rate = graph.lr_scope(options.stage_lr_of(0));
    x = embed_patches(graph, image, variant.channels);
  }
  const int blocks = variant.depths[0] + variant.depths[1] + variant.depths[2] + variant.depths[3];
  int done = 0;
  for (size_t stage = 0; stage < 4; ++stage) {
    const auto scope = graph.scope(concat("layers.", stage));
    const auto rate = graph.lr_scope(options.stage_lr_of(stage + 1));
    if (stage > 0) x = downsample(graph, x);
    for (int b = 0; b < variant.depths[stage]; ++b, ++done) {
      const auto inner = graph.scope(concat("blocks.", b));
      const double drop_rate = options.drop_path * done / (blocks - 1);  // grows from 0 with depth
      x = block(graph, x, variant.heads << stage, variant.window, b % 2 == 1, drop_rate);
    }
  }
  x = layer_norm(graph, x, "norm");
  return {.map = x, .features = with_tail ? global_average_pool(graph, x) : Value{}};
}

bool register_all() {
  for (const Variant& variant : kVariants) {
    register_backbone(
        concat("swin_", variant.name), {concat("SwinTransformer_", variant.alias)},
        {.build = [&variant](Graph& graph, Value image, const BackboneOptions& options,
                             bool with_tail) { return build(graph, image, variant, options, with_tail); },
         .timm_name = concat("swin_", variant.alias),
         .classifier = "head.fc",
         .image =
             imagenet_spec(variant.image_size, variant.image_size == 224 ? 256 : 438, Interpolation::bicubic),
         .classifier_std = kStd});
  }
  return true;
}

[[maybe_unused]] const bool registered = register_all();

}  // namespace

}  // namespace kindred
