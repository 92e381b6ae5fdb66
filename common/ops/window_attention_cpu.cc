// Window attention on the CPU: one window of one head at a time, in tiles that stay in the cache. Nothing of
// the size tokens x tokens is kept: backward makes the probabilities again from the rows' log-sum-exp.
// Results do not depend on the thread count: work is divided into tasks by shape alone, sums run in task
// order.
#include <algorithm>
#include <cmath>
#include <utility>  // exchange

#include "common/base/parallel.h"
#include "common/ops/vector_math.h"
#include "common/ops/window_attention_grid.h"

namespace kindred {

namespace {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#else
constexpr int64_t kLanes = 8;
#endif
typedef float Vec __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

constexpr int64_t kPad = 16;  // tile columns are multiples of it, for either vector length
int64_t padded(int64_t n) { return (n + kPad - 1) / kPad * kPad; }

/// c [R, V vectors] = a b, with a's element (r, k) at a[r * a_row + k * a_col].
template <int R, int V>
void multiply_block(int64_t depth, const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t ldb,
                    float* c, int64_t ldc) {
  Vec sums[R][V] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const auto* const row = reinterpret_cast<const Vec*>(b + k * ldb);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float x = a[r * a_row + k * a_col];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[r][v] += x * row[v];
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) reinterpret_cast<Vec*>(c + r * ldc)[v] = sums[r][v];
  }
}

template <int V>
void multiply_columns(int64_t rows, int64_t depth, const float* a, int64_t a_row, int64_t a_col,
                      const float* b, int64_t ldb, float* c, int64_t ldc) {
  constexpr int kRows = 6;  // 6 x 2 sums, 2 vectors of b and a broadcast fit 16 registers
  int64_t i = 0;
  for (; i + kRows <= rows; i += kRows) {
    multiply_block<kRows, V>(depth, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc);
  }
  for (; i < rows; ++i) multiply_block<1, V>(depth, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc);
}

/// c [rows, cols] = a [rows, depth] b [depth, cols]; a may be read as a transposed matrix. Requires: cols %
/// kPad == 0.
void multiply(int64_t rows, int64_t cols, int64_t depth, const float* a, int64_t a_row, int64_t a_col,
              const float* b, int64_t ldb, float* c, int64_t ldc) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= cols; j += 2 * kLanes) {
    multiply_columns<2>(rows, depth, a, a_row, a_col, b + j, ldb, c + j, ldc);
  }
  for (; j < cols; j += kLanes) multiply_columns<1>(rows, depth, a, a_row, a_col, b + j, ldb, c + j, ldc);
}

/// Hands out pieces of scratch memory; over null it only counts.
class Pieces {
 public:
  explicit Pieces(float* begin) : begin_(begin) {}
  float* take(int64_t floats) {
    const int64_t at = std::exchange(used_, used_ + padded(floats));
    return begin_ == nullptr ? nullptr : begin_ + at;
  }
  int64_t used() const { return used_; }

 private:
  float* begin_;
  int64_t used_ = 0;
};

template <class T>
class WindowAttentionCpu final : public Kernel {
 public:
  WindowAttentionCpu(const WindowAttention& op, const KernelSpec& spec)
      : grid_(op, spec.output),
        heads_(op.heads),
        depth_(spec.output[3] / op.heads),
        windows_(spec.output[0] * grid_.windows),
        channels_(spec.output[3]),
        tokens_(grid_.tokens),
        columns_(padded(tokens_)),
        width_(padded(depth_)),
        groups_(std::clamp<int64_t>(64 / heads_, 1, windows_)),
        scale_(1 / std::sqrt(static_cast<float>(depth_))),
        training_(spec.training) {}

  /// The log-sum-exp of every query's scores.
  int64_t state_bytes() const override {
    return training_ ? windows_ * heads_ * tokens_ * static_cast<int64_t>(sizeof(float)) : 0;
  }
  int64_t scratch_bytes() const override {
    Pieces pieces(nullptr);
    Scratch(*this, pieces);
    return pieces.used() * static_cast<int64_t>(sizeof(float));
  }

  void forward(Stream&, const Io& io) override {
    Pieces pieces(static_cast<float*>(io.scratch.raw()));
    const Scratch scratch(*this, pieces);
    spread_table(io.parameters[0].f32(), scratch.head_bias);
    T* const out = io.output.data<T>();
    each_window(scratch, [&](Tile& tile, int64_t window, int64_t head, int64_t) {
      load_inputs(io, window, head, tile);
      multiply(tokens_, columns_, depth_, tile.q, width_, 1, tile.kt, columns_, tile.p, columns_);
      add_bias(scratch, window, head, tile);
      float* const log_sums = training_ ? row_of(io.state, window, head) : nullptr;
      for (int64_t i = 0; i < tokens_; ++i) {
        tile.weights[i] = exponentials(tile.p + i * columns_, log_sums != nullptr ? log_sums + i : nullptr);
      }
      multiply(tokens_, width_, tokens_, tile.p, columns_, 1, tile.v, width_, tile.dq, width_);
      for (int64_t i = 0; i < tokens_; ++i) {
        const int64_t pixel = pixel_of(window, i);
        if (pixel < 0) continue;
        const float* const from = tile.dq + i * width_;
        T* const to = out + pixel * channels_ + head * depth_;
        for (int64_t c = 0; c < depth_; ++c) to[c] = from[c] * tile.weights[i];
      }
    });
  }

  void backward(Stream&, const Io& io, const Grads& grads) override {
    Pieces pieces(static_cast<float*>(io.scratch.raw()));
    const Scratch scratch(*this, pieces);
    spread_table(io.parameters[0].f32(), scratch.head_bias);
    std::fill_n(scratch.task_sums, groups_ * heads_ * task_sum_floats(), 0.f);
    each_window(scratch, [&](Tile& tile, int64_t window, int64_t head, int64_t task) {
      load_inputs(io, window, head, tile);
      load_output_gradient(grads.output.data<T>(), window, head, tile);
      multiply(tokens_, columns_, depth_, tile.q, width_, 1, tile.kt, columns_, tile.p, columns_);
      add_bias(scratch, window, head, tile);
      multiply(tokens_, columns_, depth_, tile.dout, width_, 1, tile.vt, columns_, tile.ds, columns_);
      score_gradients(row_of(io.state, window, head), tile);
      float* const sums = scratch.task_sums + task * task_sum_floats();
      for (int64_t e = 0; e < tokens_ * columns_; ++e) sums[e] += tile.ds[e];
      multiply(tokens_, width_, tokens_, tile.ds, columns_, 1, tile.k, width_, tile.dq, width_);
      multiply(tokens_, width_, tokens_, tile.ds, 1, columns_, tile.q, width_, tile.dk, width_);
      multiply(tokens_, width_, tokens_, tile.p, 1, columns_, tile.dout, width_, tile.dv, width_);
      store_gradients(tile, window, head, grads, sums + tokens_ * columns_);
    });
    parallel_for(heads_, [&](int64_t head) { sum_tasks(scratch, head, grads); });
  }

 private:
  /// What one task works on: rows [tokens, width] of one head, and tokens x columns matrices.
  struct Tile {
    float *q, *k, *v, *kt, *vt, *p, *ds, *dout, *dq, *dk, *dv, *weights;
    Tile(const WindowAttentionCpu& kernel, Pieces& pieces) {
      const int64_t rows = kernel.tokens_ * kernel.width_, transposed = kernel.depth_ * kernel.columns_;
      const int64_t matrix = kernel.tokens_ * kernel.columns_;
      for (float** piece : {&q, &k, &v, &dq}) *piece = pieces.take(rows);
      kt = pieces.take(transposed), p = pieces.take(matrix), weights = pieces.take(kernel.tokens_);
      if (!kernel.training_) return;
      for (float** piece : {&dout, &dk, &dv}) *piece = pieces.take(rows);
      vt = pieces.take(transposed), ds = pieces.take(matrix);
    }
  };
  struct Scratch {
    float* head_bias;  // [heads, tokens, columns]
    float* task_sums;  // per task: ds summed over its windows [tokens, columns], dk and dv of padding tokens
    float* tiles;      // per task
    Scratch(const WindowAttentionCpu& kernel, Pieces& pieces) {
      const int64_t tasks = kernel.groups_ * kernel.heads_;
      head_bias = pieces.take(kernel.heads_ * kernel.tokens_ * kernel.columns_);
      task_sums = pieces.take(kernel.training_ ? tasks * kernel.task_sum_floats() : 0);
      tiles = pieces.take(tasks * kernel.tile_floats());
    }
  };

  int64_t tile_floats() const {
    Pieces pieces(nullptr);
    Tile(*this, pieces);
    return pieces.used();
  }
  int64_t task_sum_floats() const { return tokens_ * columns_ + 2 * width_; }
  float* row_of(const Tensor& state, int64_t window, int64_t head) const {
    return static_cast<float*>(state.raw()) + (window * heads_ + head) * tokens_;
  }
  /// Row of the flattened [N,H,W] map, -1 for padding; `window` counts over all images.
  int64_t pixel_of(int64_t window, int64_t token) const {
    const int pixel = grid_.pixel(static_cast<int>(window % grid_.windows), static_cast<int>(token));
    return pixel < 0 ? -1 : window / grid_.windows * grid_.height * grid_.width + pixel;
  }

  /// f(tile, window, head, task) for every window and head; windows of one task run in order.
  template <class F>
  void each_window(const Scratch& scratch, F f) const {
    parallel_for(groups_ * heads_, [&](int64_t task) {
      const int64_t group = task / heads_, head = task % heads_;
      Pieces pieces(scratch.tiles + task * tile_floats());
      Tile tile(*this, pieces);
      for (int64_t w = group * windows_ / groups_; w < (group + 1) * windows_ / groups_; ++w)
        f(tile, w, head, task);
    });
  }

  /// The table as a matrix per head; columns beyond the tokens get no weight.
  void spread_table(const float* table, float* head_bias) const {
    constexpr float kNever = -1e30f;
    parallel_for(heads_ * tokens_, [&](int64_t r) {
      const int64_t head = r / tokens_, i = r % tokens_;
      float* const row = head_bias + r * columns_;
      std::fill(row + tokens_, row + columns_, kNever);
      for (int64_t j = 0; j < tokens_; ++j) {
        row[j] = table[grid_.entry(static_cast<int>(i), static_cast<int>(j)) * heads_ + head];
      }
    });
  }

  void load_inputs(const Io& io, int64_t window, int64_t head, const Tile& tile) const {
    const T* const qkv = io.inputs[0].data<T>();
    const float* const bias = io.parameters[1].f32();
    for (int64_t i = 0; i < tokens_; ++i) {
      const int64_t pixel = pixel_of(window, i);
      float *const q = tile.q + i * width_, *const k = tile.k + i * width_, *const v = tile.v + i * width_;
      if (pixel < 0) {
        copy_parts(bias + head * depth_, q, k, v);
      } else {
        copy_parts(qkv + pixel * 3 * channels_ + head * depth_, q, k, v);
      }
    }
    transpose(tile.k, tile.kt);
    if (training_) transpose(tile.v, tile.vt);
  }

  void load_output_gradient(const T* gradient, int64_t window, int64_t head, const Tile& tile) const {
    for (int64_t i = 0; i < tokens_; ++i) {
      const int64_t pixel = pixel_of(window, i);
      float* const to = tile.dout + i * width_;
      if (pixel < 0) std::fill_n(to, width_, 0.f);
      if (pixel >= 0) copy_row(gradient + pixel * channels_ + head * depth_, 1, to);
    }
  }

  /// One token's query, scaled, key and value.
  template <class From>
  void copy_parts(const From* from, float* q, float* k, float* v) const {
    copy_row(from, scale_, q);
    copy_row(from + channels_, 1, k);
    copy_row(from + 2 * channels_, 1, v);
  }

  template <class From>
  void copy_row(const From* from, float scale, float* to) const {
    for (int64_t c = 0; c < depth_; ++c) to[c] = scale * from[c];
    std::fill(to + depth_, to + width_, 0.f);
  }

  /// rows [tokens, width] -> columns [depth, columns], zero beyond the tokens.
  void transpose(const float* rows, float* to) const {
    for (int64_t c = 0; c < depth_; ++c) {
      for (int64_t i = 0; i < tokens_; ++i) to[c * columns_ + i] = rows[i * width_ + c];
      std::fill(to + c * columns_ + tokens_, to + (c + 1) * columns_, 0.f);
    }
  }

  /// p += bias by position, and the mask in the windows that a shift made of several regions.
  void add_bias(const Scratch& scratch, int64_t window, int64_t head, const Tile& tile) const {
    const float* const bias = scratch.head_bias + head * tokens_ * columns_;
    for (int64_t e = 0; e < tokens_ * columns_; ++e) tile.p[e] += bias[e];
    const int at = static_cast<int>(window % grid_.windows);
    const bool bottom = grid_.shift_h > 0 && at / grid_.across == grid_.down - 1;
    const bool right = grid_.shift_w > 0 && at % grid_.across == grid_.across - 1;
    if (!bottom && !right) return;
    for (int64_t i = 0; i < tokens_; ++i)
      tile.weights[i] = static_cast<float>(grid_.region(at, static_cast<int>(i)));
    for (int64_t i = 0; i < tokens_; ++i) {
      float* const row = tile.p + i * columns_;
      for (int64_t j = 0; j < tokens_; ++j) row[j] += tile.weights[j] == tile.weights[i] ? 0.f : kWindowMask;
    }
  }

  /// Scores become exp(score - largest). Returns 1 / their sum; writes the log-sum-exp where wanted.
  float exponentials(float* row, float* log_sum) const {
    float largest = row[0], total = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < columns_; ++j) largest = row[j] > largest ? row[j] : largest;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < columns_; ++j) total += row[j] = vector_exp(row[j] - largest);
    if (log_sum != nullptr) *log_sum = largest + std::log(total);
    return 1 / total;
  }

  /// p: scores -> probabilities. ds: p's gradient -> that of the scores, p (dp - sum of p dp).
  void score_gradients(const float* log_sums, const Tile& tile) const {
    for (int64_t i = 0; i < tokens_; ++i) {
      float *const p = tile.p + i * columns_, *const ds = tile.ds + i * columns_;
      const float log_sum = log_sums[i];
      float total = 0;
#pragma omp simd reduction(+ : total)
      for (int64_t j = 0; j < columns_; ++j) total += (p[j] = vector_exp(p[j] - log_sum)) * ds[j];
#pragma omp simd
      for (int64_t j = 0; j < columns_; ++j) ds[j] = p[j] * (ds[j] - total);
    }
  }

  /// dq, dk, dv of pixels go to the input's gradient, dk and dv of padding to `padding` [2, width].
  void store_gradients(const Tile& tile, int64_t window, int64_t head, const Grads& grads,
                       float* padding) const {
    const bool add = grads.accumulate[0] != 0;
    for (int64_t i = 0; i < tokens_; ++i) {
      const float* const parts[] = {tile.dq + i * width_, tile.dk + i * width_, tile.dv + i * width_};
      const int64_t pixel = pixel_of(window, i);
      if (pixel < 0) {
        for (int64_t c = 0; c < depth_; ++c) padding[c] += parts[1][c], padding[width_ + c] += parts[2][c];
      } else if (grads.inputs[0]) {
        T* to = grads.inputs[0].data<T>() + pixel * 3 * channels_ + head * depth_;
        for (int part = 0; part < 3; ++part, to += channels_) {
          const float scale = part == 0 ? scale_ : 1;  // k was multiplied by a scaled q already
          for (int64_t c = 0; c < depth_; ++c) to[c] = scale * parts[part][c] + (add ? to[c] : 0.f);
        }
      }
    }
  }

  /// Adds what the tasks of one head gathered to the gradients of table and projection bias.
  void sum_tasks(const Scratch& scratch, int64_t head, const Grads& grads) const {
    float* const sums = scratch.task_sums + head * task_sum_floats();  // of task `head`, group 0
    for (int64_t group = 1; group < groups_; ++group) {
      const float* const more = scratch.task_sums + (group * heads_ + head) * task_sum_floats();
      for (int64_t e = 0; e < task_sum_floats(); ++e) sums[e] += more[e];
    }
    float* const table = grads.parameters[0].f32();
    for (int64_t i = 0; i < tokens_; ++i) {
      for (int64_t j = 0; j < tokens_; ++j) {
        table[grid_.entry(static_cast<int>(i), static_cast<int>(j)) * heads_ + head] +=
            sums[i * columns_ + j];
      }
    }
    float* const bias = grads.parameters[1].f32() + channels_ + head * depth_;
    const float* const padding = sums + tokens_ * columns_;
    for (int64_t c = 0; c < depth_; ++c) bias[c] += padding[c], bias[channels_ + c] += padding[width_ + c];
  }

  WindowGrid grid_;
  int64_t heads_, depth_, windows_, channels_, tokens_;
  int64_t columns_, width_;  // tokens and depth, padded
  int64_t groups_;           // of windows; with the heads they make at least 64 tasks where there are as many
  float scale_;
  bool training_;
};

KINDRED_KERNEL(cpu, "window_attention", WindowAttention, WindowAttentionCpu);

}  // namespace

}  // namespace kindred
