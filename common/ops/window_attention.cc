#include "common/ops/window_attention.h"

#include <memory>

#include "common/ops/shape_rules.h"

namespace kindred {

namespace {

int64_t whole_windows(int64_t side, int window) { return (side + window - 1) / window; }

}  // namespace

Shape WindowAttention::output_shape(std::span<const Shape> inputs) const {
  expect_images(type(), inputs);
  KINDRED_ASSERT(heads >= 1 && window_h >= 1 && window_w >= 1);
  KINDRED_ASSERT(0 <= shift_h && shift_h < window_h && 0 <= shift_w && shift_w < window_w);
  const Shape& qkv = inputs[0];
  if (qkv[3] % (3 * heads) != 0)
    fail_shapes(type(), concat("3 x ", heads, " heads to divide the channels"), inputs);
  return {qkv[0], qkv[1], qkv[2], qkv[3] / 3};
}

int64_t WindowAttention::macs(std::span<const Shape> inputs) const {
  const Shape& qkv = inputs[0];
  const int64_t tokens = int64_t{window_h} * window_w;
  const int64_t windows = qkv[0] * whole_windows(qkv[1], window_h) * whole_windows(qkv[2], window_w);
  return 2 * windows * tokens * tokens * (qkv[3] / 3);
}

std::string WindowAttention::attributes() const {
  return concat("heads=", heads, " w=", window_h, "x", window_w, " s=", shift_h, "x", shift_w);
}

Value window_attention(Graph& graph, Value qkv, Param qkv_bias, const WindowAttention& attributes) {
  const int64_t entries = int64_t{2 * attributes.window_h - 1} * (2 * attributes.window_w - 1);
  const Param table = graph.parameter("relative_position_bias_table", {entries, attributes.heads},
                                      Init::truncated_std(0.02), ParamLayout::plain, false);
  return graph.apply(std::make_shared<WindowAttention>(attributes), {qkv}, {table, qkv_bias});
}

}  // namespace kindred
