// Swin's ops against plain loops: layer norm, patch merging, drop path, window attention.
// Window attention follows the words of the paper: roll, pad, cut into windows, attend, put back.
#include <algorithm>
#include <cmath>

#include "common/ops/drop_path.h"
#include "common/ops/layer_norm.h"
#include "common/ops/patch_merge.h"
#include "common/ops/window_attention.h"
#include "tests/support/op_case.h"

namespace kindred::test {
namespace {

Array layer_norm_reference(std::span<const Array> inputs, std::span<Array> parameters) {
  const Array& x = inputs[0];
  Array y(x.shape);
  const int64_t C = x.shape[-1];
  for (int64_t r = 0; r < x.shape.rows(); ++r) {
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) mean += x[r * C + c] / static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) variance += std::pow(x[r * C + c] - mean, 2) / static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) {
      y[r * C + c] = (x[r * C + c] - mean) / std::sqrt(variance + 1e-5) * parameters[0][c] + parameters[1][c];
    }
  }
  return y;
}

Array patch_merge_reference(std::span<const Array> inputs, std::span<Array>) {
  const Array& x = inputs[0];
  const int64_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3];
  Array y({N, (H + 1) / 2, (W + 1) / 2, 4 * C});
  constexpr int kRow[] = {0, 1, 0, 1}, kColumn[] = {0, 0, 1, 1};
  for (int64_t n = 0; n < N; ++n)
    for (int64_t i = 0; i < y.shape[1]; ++i)
      for (int64_t j = 0; j < y.shape[2]; ++j)
        for (int corner = 0; corner < 4; ++corner) {
          const int64_t row = 2 * i + kRow[corner], column = 2 * j + kColumn[corner];
          if (row >= H || column >= W) continue;
          for (int64_t c = 0; c < C; ++c) y(n, i, j, corner * C + c) = x(n, row, column, c);
        }
  return y;
}

/// Which samples keep their branch under kCaseStep: the op's contract, word for word.
bool kept(int64_t sample, double rate) {
  const auto row = static_cast<uint32_t>(kCaseStep.first_row + sample);
  return unit_float(philox(kCaseStep.seed ^ kCaseNodeKey, row, 0, static_cast<uint32_t>(kCaseStep.step), 0)
                        .word[0]) >= static_cast<float>(rate);
}

Reference drop_path_reference(double rate) {
  return [rate](std::span<const Array> inputs, std::span<Array>) {
    Array y = inputs[0];
    const int64_t width = y.shape.elements() / y.shape[0];
    for (int64_t i = 0; i < y.shape.elements(); ++i) {
      if (kept(i / width, rate)) y[i] += inputs[1][i] / (1 - rate);
    }
    return y;
  };
}

Array add_reference(std::span<const Array> inputs, std::span<Array>) {
  Array y = inputs[0];
  for (int64_t i = 0; i < y.shape.elements(); ++i) y[i] += inputs[1][i];
  return y;
}

/// One window of one head: tokens' q, k, v [L, D] and a bias [L, L] -> [L, D].
Array attend(const Array& q, const Array& k, const Array& v, const Array& bias) {
  const int64_t L = q.shape[0], D = q.shape[1];
  Array out({L, D});
  for (int64_t i = 0; i < L; ++i) {
    std::vector<double> weights;
    for (int64_t j = 0; j < L; ++j) {
      double score = bias(i, j);
      for (int64_t c = 0; c < D; ++c) score += q(i, c) * k(j, c) / std::sqrt(static_cast<double>(D));
      weights.push_back(score);
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    for (int64_t j = 0; j < L; ++j)
      for (int64_t c = 0; c < D; ++c) out(i, c) += weights[static_cast<size_t>(j)] / total * v(j, c);
  }
  return out;
}

Reference window_attention_reference(const WindowAttention& op) {
  return [op](std::span<const Array> inputs, std::span<Array> parameters) {
    const Array &qkv = inputs[0], &table = parameters[0], &qkv_bias = parameters[1];
    const int64_t N = qkv.shape[0], H = qkv.shape[1], W = qkv.shape[2], C = qkv.shape[3] / 3,
                  D = C / op.heads;
    const int64_t wh = op.window_h, ww = op.window_w, L = wh * ww;
    const int64_t padded_h = (H + wh - 1) / wh * wh, padded_w = (W + ww - 1) / ww * ww;
    // The rolled map, padded with the projection of zeros, and the region of every place in it.
    Array rolled({N, padded_h, padded_w, 3 * C}), region({padded_h, padded_w});
    for (int64_t y = 0; y < padded_h; ++y)
      for (int64_t x = 0; x < padded_w; ++x) {
        const int64_t vertical = y < padded_h - wh ? 0 : y < padded_h - op.shift_h ? 1 : 2;
        const int64_t horizontal = x < padded_w - ww ? 0 : x < padded_w - op.shift_w ? 1 : 2;
        region(y, x) = static_cast<double>(3 * vertical + horizontal);
        for (int64_t n = 0; n < N; ++n)
          for (int64_t c = 0; c < 3 * C; ++c) {
            rolled(n, y, x, c) =
                y < H && x < W ? qkv(n, (y + op.shift_h) % H, (x + op.shift_w) % W, c) : qkv_bias[c];
          }
      }
    Array out({N, H, W, C});
    for (int64_t n = 0; n < N; ++n)
      for (int64_t top = 0; top < padded_h; top += wh)
        for (int64_t left = 0; left < padded_w; left += ww)
          for (int64_t head = 0; head < op.heads; ++head) {
            Array parts[3] = {Array({L, D}), Array({L, D}), Array({L, D})}, bias({L, L});
            for (int64_t i = 0; i < L; ++i) {
              const int64_t yi = i / ww, xi = i % ww;
              for (int part = 0; part < 3; ++part)
                for (int64_t c = 0; c < D; ++c)
                  parts[part](i, c) = rolled(n, top + yi, left + xi, part * C + head * D + c);
              for (int64_t j = 0; j < L; ++j) {
                const int64_t yj = j / ww, xj = j % ww;
                bias(i, j) = table((yi - yj + wh - 1) * (2 * ww - 1) + xi - xj + ww - 1, head);
                if (region(top + yi, left + xi) != region(top + yj, left + xj)) bias(i, j) -= 100;
              }
            }
            const Array result = attend(parts[0], parts[1], parts[2], bias);
            for (int64_t i = 0; i < L; ++i) {
              const int64_t y = top + i / ww, x = left + i % ww;
              if (y >= H || x >= W) continue;
              for (int64_t c = 0; c < D; ++c)
                out(n, (y + op.shift_h) % H, (x + op.shift_w) % W, head * D + c) = result(i, c);
            }
          }
    return out;
  };
}

/// The same op, run by the body that both devices share instead of the CPU's own.
struct SharedWindowAttention final : WindowAttention {
  explicit SharedWindowAttention(const WindowAttention& op) : WindowAttention(op) {}
  std::string_view type() const override { return "window_attention/reference"; }
};

std::vector<OpCase> swin_cases() {
  std::vector<OpCase> rows;
  for (const Shape& shape : {Shape{5, 8}, Shape{3, 7}, Shape{2, 3, 5, 96}, Shape{130, 75}}) {
    const int64_t C = shape[-1];
    rows.push_back({.name = concat("layer_norm/", shape),
                    .op = std::make_shared<LayerNorm>(),
                    .inputs = {{.shape = shape, .fill = uniform(-2, 3)}},
                    .parameters = {{.shape = {C}, .fill = uniform(0.5, 1.5)}, {.shape = {C}}},
                    .reference = layer_norm_reference});
  }
  for (const Shape& shape : {Shape{2, 4, 6, 8}, Shape{1, 5, 7, 3}, Shape{3, 1, 1, 1}, Shape{1, 1, 8, 75}}) {
    rows.push_back({.name = concat("patch_merge/", shape),
                    .op = std::make_shared<PatchMerge>(),
                    .inputs = {{.shape = shape}},
                    .parameters = {},
                    .reference = patch_merge_reference});
  }
  for (const bool training : {true, false}) {
    auto op = std::make_shared<DropPath>();
    op->rate = 0.5;
    const Shape shape{6, 3, 5, 7}, large{5, 20, 30, 16};  // the second takes several pieces a sample
    for (const Shape& s : {shape, large}) {
      rows.push_back({.name = concat("drop_path/", s, training ? "" : "/inference"),
                      .op = op,
                      .inputs = {{.shape = s}, {.shape = s}},
                      .parameters = {},
                      .reference = training ? drop_path_reference(op->rate) : add_reference,
                      .training = training});
    }
  }
  struct Attention {
    const char* name;
    Shape map;  // [N,H,W,C]
    int heads, window_h, window_w, shift_h, shift_w;
  };
  for (const Attention& a : std::initializer_list<Attention>{
           {"one_window", {1, 3, 3, 8}, 2, 3, 3, 0, 0},
           {"four_windows", {2, 4, 6, 6}, 3, 2, 3, 0, 0},
           {"shifted", {1, 6, 4, 8}, 1, 2, 2, 1, 1},
           {"shifted_down_only", {1, 6, 3, 4}, 2, 3, 3, 1, 0},
           {"padded", {1, 5, 4, 8}, 2, 3, 3, 0, 0},
           {"padded_and_shifted", {2, 5, 7, 8}, 2, 3, 3, 1, 1},
           {"one_pixel", {3, 1, 1, 4}, 1, 1, 1, 0, 0},
           {"window_7", {1, 14, 7, 32}, 1, 7, 7, 3, 0},
       }) {
    auto op = std::make_shared<WindowAttention>();
    op->heads = a.heads, op->window_h = a.window_h, op->window_w = a.window_w;
    op->shift_h = a.shift_h, op->shift_w = a.shift_w;
    const int64_t C = a.map[3], entries = (2 * a.window_h - 1) * (2 * a.window_w - 1);
    OpCase row{.name = concat("window_attention/", a.name),
               .op = op,
               .inputs = {{.shape = {a.map[0], a.map[1], a.map[2], 3 * C}, .fill = uniform(-2, 2)}},
               .parameters = {{.shape = {entries, a.heads}}, {.shape = {3 * C}}},
               .reference = window_attention_reference(*op)};
    rows.push_back(row);
    row.name = concat("window_attention/shared_body/", a.name);
    row.op = std::make_shared<SharedWindowAttention>(*op);
    rows.push_back(row);
    row.name = concat("window_attention/inference/", a.name);
    row.op = op;
    row.training = false;
    rows.push_back(row);
  }
  return rows;
}
KINDRED_OP_CASES(swin_cases);

}  // namespace
}  // namespace kindred::test
