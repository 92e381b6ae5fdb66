// Attention in (shifted) windows, as matrix products over [N, windows, heads, tokens, channels].
#include <cmath>

#include "common/models/onnx/lowering.h"
#include "common/ops/window_attention_grid.h"

namespace kindred {

namespace {

/// Dimension `axis` turned by `shift`: element i of the result is element (i + shift) mod size.
std::string roll(NodeLowering& node, const std::string& x, int64_t axis, int64_t shift, int64_t size) {
  if (shift == 0) return x;
  return node.add("Concat", {node.slice(x, axis, shift, size), node.slice(x, axis, 0, shift)},
                  {{"axis", axis}});
}

/// Whole windows: what lies beyond the rolled map is qkv_bias, the projection of zeros.
std::string pad(NodeLowering& node, std::string x, const WindowGrid& grid, int64_t channels) {
  const int64_t height = int64_t{grid.down} * grid.window_h, width = int64_t{grid.across} * grid.window_w;
  const std::vector<int64_t> pads{0, 0, 0, 0, 0, height - grid.height, width - grid.width, 0};
  x = node.add("Pad", {x, node.onnx().whole_numbers(pads)});
  std::vector<uint8_t> inside(static_cast<size_t>(height * width));
  for (int64_t i = 0; i < height * width; ++i)
    inside[static_cast<size_t>(i)] = i / width < grid.height && i % width < grid.width;
  const std::string mask = node.onnx().truths("inside", {1, height, width, 1}, inside);
  return node.add("Where", {mask, x, node.parameter_constant(1, {channels})});
}

/// [heads, tokens, tokens], added to the scores.
std::string position_bias(NodeLowering& node, const WindowGrid& grid, int heads) {
  const std::vector<float> table = node.parameter(0);
  std::vector<float> bias;
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < grid.tokens; ++i)
      for (int j = 0; j < grid.tokens; ++j)
        bias.push_back(table[static_cast<size_t>(grid.entry(i, j) * heads + h)]);
  return node.constant("position_bias", {heads, grid.tokens, grid.tokens}, bias);
}

/// [windows, 1, tokens, tokens], added to the scores.
std::string region_mask(NodeLowering& node, const WindowGrid& grid) {
  std::vector<float> mask;
  for (int w = 0; w < grid.windows; ++w)
    for (int i = 0; i < grid.tokens; ++i)
      for (int j = 0; j < grid.tokens; ++j)
        mask.push_back(grid.region(w, i) == grid.region(w, j) ? 0 : kWindowMask);
  return node.onnx().constant("region_mask", {grid.windows, 1, grid.tokens, grid.tokens}, mask);
}

OnnxValue lower_window_attention(const WindowAttention& op, NodeLowering& node) {
  const Shape map = node.shape(0);
  const WindowGrid grid(op, map);
  const int64_t C = map[3] / 3, width = C / op.heads;  // of a head
  const int64_t padded_h = int64_t{grid.down} * grid.window_h,
                padded_w = int64_t{grid.across} * grid.window_w;

  std::string x = node.input(0, Channels::last);
  x = roll(node, x, 1, grid.shift_h, grid.height);
  x = roll(node, x, 2, grid.shift_w, grid.width);
  if (grid.padded()) x = pad(node, x, grid, map[3]);

  const std::vector<int64_t> apart{0, grid.down, grid.window_h, grid.across, grid.window_w, op.heads, width};
  const auto windows = [&](int64_t part, bool keys) {  // [N, windows, heads, tokens, width]; keys turned
    const std::string split = node.reshape(node.slice(x, 3, part * C, (part + 1) * C), apart);
    if (keys)
      return node.reshape(node.transpose(split, {0, 1, 3, 5, 6, 2, 4}),
                          {0, grid.windows, op.heads, width, grid.tokens});
    return node.reshape(node.transpose(split, {0, 1, 3, 5, 2, 4, 6}),
                        {0, grid.windows, op.heads, grid.tokens, width});
  };
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  const std::string q = node.add("Mul", {windows(0, false), node.onnx().number(scale)});
  std::string scores = node.add("MatMul", {q, windows(1, true)});
  scores = node.add("Add", {scores, position_bias(node, grid, op.heads)});
  if (grid.shifted()) scores = node.add("Add", {scores, region_mask(node, grid)});
  const std::string shares = node.add("Softmax", {scores}, {{"axis", int64_t{-1}}});
  std::string y = node.add("MatMul", {shares, windows(2, false)});

  y = node.reshape(y, {0, grid.down, grid.across, op.heads, grid.window_h, grid.window_w, width});
  y = node.reshape(node.transpose(y, {0, 1, 4, 2, 5, 3, 6}), {0, padded_h, padded_w, C});
  if (padded_h != grid.height) y = node.slice(y, 1, 0, grid.height);
  if (padded_w != grid.width) y = node.slice(y, 2, 0, grid.width);
  y = roll(node, y, 1, grid.shift_h == 0 ? 0 : grid.height - grid.shift_h, grid.height);
  return {roll(node, y, 2, grid.shift_w == 0 ? 0 : grid.width - grid.shift_w, grid.width)};
}

KINDRED_ONNX("window_attention", WindowAttention, lower_window_attention);

}  // namespace

}  // namespace kindred
