// Window attention, one row per (image, window, head, query). Probabilities are kept for backward, whose sums
// over queries, over padding and over windows are gathered, so that no two rows write the same place. The CPU
// runs window_attention_cpu.cc instead, which works by windows; there this body is its reference.
#include <cmath>

#include "common/ops/window_attention_grid.h"

namespace kindred {

namespace {

/// The place of a row index.
struct Place {
  int64_t image, head;
  int window, token;
};

/// A pixel's part of the map, or a padding token's part of the projection's bias.
template <class T>
struct Vector {
  const T* pixel;
  const float* padding;
  KINDRED_DEV float operator[](int64_t c) const {
    return pixel != nullptr ? static_cast<float>(pixel[c]) : padding[c];
  }
};

/// Everything a body reads, by value.
template <class T>
struct View {
  WindowGrid grid;
  int64_t heads, depth, images;
  float scale;
  const T* qkv;
  const float *table, *qkv_bias;

  KINDRED_DEV int64_t channels() const { return heads * depth; }
  KINDRED_DEV int64_t pixels() const { return int64_t{grid.height} * grid.width; }

  KINDRED_DEV Place place(int64_t r) const {
    const int64_t L = grid.tokens, windows = grid.windows;
    return {r / (L * heads * windows), r / L % heads, static_cast<int>(r / (L * heads) % windows),
            static_cast<int>(r % L)};
  }
  /// `part` 0, 1, 2: the query, key, value of a token.
  KINDRED_DEV Vector<T> vector(const Place& at, int token, int part) const {
    const int pixel = grid.pixel(at.window, token);
    const int64_t first = part * channels() + at.head * depth;
    if (pixel < 0) return {nullptr, qkv_bias + first};
    return {qkv + (at.image * pixels() + pixel) * 3 * channels() + first, nullptr};
  }
  /// The token's part of a [N,H,W,C] tensor; null for padding.
  template <class Map>
  KINDRED_DEV Map* output(Map* map, const Place& at, int token) const {
    const int pixel = grid.pixel(at.window, token);
    return pixel < 0 ? nullptr : map + (at.image * pixels() + pixel) * channels() + at.head * depth;
  }
};

template <class A, class B>
KINDRED_DEV float dot(const A& a, const B& b, int64_t n) {
  float total = 0;
  for (int64_t c = 0; c < n; ++c) total += a[c] * b[c];
  return total;
}

template <class T>
class WindowAttentionKernel final : public Kernel {
 public:
  WindowAttentionKernel(const WindowAttention& op, const KernelSpec& spec)
      : grid_(op, spec.output),
        heads_(op.heads),
        depth_(spec.output[3] / op.heads),
        images_(spec.output[0]),
        training_(spec.training) {}

  /// Probabilities [rows, tokens].
  int64_t state_bytes() const override { return training_ ? matrix_bytes() : 0; }
  /// The same without training; the gradient of scores with it.
  int64_t scratch_bytes() const override { return matrix_bytes(); }

  void forward(Stream& stream, const Io& io) override {
    const View<T> view = this->view(io);
    const int64_t L = grid_.tokens, D = depth_;
    T* const out = io.output.data<T>();
    float* const probabilities = static_cast<float*>(training_ ? io.state.raw() : io.scratch.raw());
    launch_rows(
        stream, rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Place at = view.place(r);
          const int i = at.token;
          float* const p = probabilities + r * L;
          T* const to = view.output(out, at, i);
          if (to == nullptr) {
            row.each(L, [=](int64_t j) { p[j] = 0; });
            return;
          }
          const Vector<T> q = view.vector(at, i, 0);
          const int region = view.grid.region(at.window, i);
          row.each(L, [=](int64_t j) {
            const int key = static_cast<int>(j);
            const float bias = view.table[view.grid.entry(i, key) * view.heads + at.head];
            const float mask = view.grid.region(at.window, key) == region ? 0 : kWindowMask;
            p[j] = view.scale * dot(q, view.vector(at, key, 1), D) + bias + mask;
          });
          const float largest = row.max(L, [=](int64_t j) { return p[j]; });
          row.each(L, [=](int64_t j) { p[j] = expf(p[j] - largest); });
          const float total = row.sum(L, [=](int64_t j) { return p[j]; });
          row.each(L, [=](int64_t j) { p[j] /= total; });
          row.each(D, [=](int64_t c) {
            float sum = 0;
            for (int j = 0; j < L; ++j) sum += p[j] * view.vector(at, j, 2)[c];
            to[c] = sum;
          });
        },
        4 * L * D);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const View<T> view = this->view(io);
    const float* const p = static_cast<const float*>(io.state.raw());
    float* const ds = static_cast<float*>(io.scratch.raw());
    score_gradients(stream, view, p, grads.output.data<T>(), ds);
    if (grads.inputs[0]) {
      input_gradients(stream, view, p, ds, grads.output.data<T>(), grads.inputs[0].data<T>(),
                      grads.accumulate[0] != 0);
    }
    table_gradients(stream, view, ds, grads.parameters[0].f32());
    if (grid_.padded())
      bias_gradients(stream, view, p, ds, grads.output.data<T>(), grads.parameters[1].f32());
  }

  int64_t rows() const { return images_ * grid_.windows * heads_ * grid_.tokens; }
  int64_t matrix_bytes() const { return rows() * grid_.tokens * static_cast<int64_t>(sizeof(float)); }
  View<T> view(const Io& io) const {
    return {grid_,
            heads_,
            depth_,
            images_,
            1 / sqrtf(static_cast<float>(depth_)),
            io.inputs[0].data<T>(),
            io.parameters[0].f32(),
            io.parameters[1].f32()};
  }

  /// ds = p (dp - sum of p dp) with dp = do v^T, for every query row.
  void score_gradients(Stream& stream, const View<T>& view, const float* p, const T* dout, float* ds) const {
    const int64_t L = grid_.tokens, D = depth_;
    launch_rows(
        stream, rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Place at = view.place(r);
          const T* const gradient = view.output(dout, at, at.token);
          const float* const probability = p + r * L;
          float* const to = ds + r * L;
          if (gradient == nullptr) {
            row.each(L, [=](int64_t j) { to[j] = 0; });
            return;
          }
          row.each(L, [=](int64_t j) {
            to[j] = probability[j] * dot(gradient, view.vector(at, static_cast<int>(j), 2), D);
          });
          const float total = row.sum(L, [=](int64_t j) { return to[j]; });
          row.each(L, [=](int64_t j) { to[j] -= probability[j] * total; });
        },
        3 * L * D);
  }

  /// dq = scale ds k, dk = scale ds^T q, dv = p^T do, for every token that is a pixel.
  void input_gradients(Stream& stream, const View<T>& view, const float* p, const float* ds, const T* dout,
                       T* dqkv, bool add) const {
    const int64_t L = grid_.tokens, D = depth_;
    launch_rows(
        stream, rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Place at = view.place(r);
          const int pixel = view.grid.pixel(at.window, at.token);
          if (pixel < 0) return;
          const int64_t C = view.channels(), first = r - at.token;  // first: the window's query 0
          T* const to = dqkv + (at.image * view.pixels() + pixel) * 3 * C + at.head * D;
          row.each(D, [=](int64_t c) {
            float dq = 0, dk = 0, dv = 0;
            for (int i = 0; i < L; ++i) {
              dq += ds[r * L + i] * view.vector(at, i, 1)[c];
              dk += ds[(first + i) * L + at.token] * view.vector(at, i, 0)[c];
              const T* const gradient = view.output(dout, at, i);
              if (gradient != nullptr) dv += p[(first + i) * L + at.token] * gradient[c];
            }
            to[c] = view.scale * dq + (add ? to[c] : 0.f);
            to[C + c] = view.scale * dk + (add ? to[C + c] : 0.f);
            to[2 * C + c] = dv + (add ? to[2 * C + c] : 0.f);
          });
        },
        6 * L * D);
  }

  /// Every entry of the table sums ds over the pairs of tokens at its distance, over all windows.
  void table_gradients(Stream& stream, const View<T>& view, const float* ds, float* d_table) const {
    const int64_t L = grid_.tokens, H = heads_, queries = images_ * grid_.windows * L;
    launch_rows(
        stream, grid_.table_entries * H,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t head = r % H;
          const int entry = static_cast<int>(r / H), span = 2 * view.grid.window_w - 1;
          const int dy = entry / span - view.grid.window_h + 1, dx = entry % span - view.grid.window_w + 1;
          const float total = row.sum(queries, [=](int64_t at) {
            const int i = static_cast<int>(at % L);
            const int y = i / view.grid.window_w - dy, x = i % view.grid.window_w - dx;
            if (y < 0 || y >= view.grid.window_h || x < 0 || x >= view.grid.window_w) return 0.f;
            return ds[((at / L * H + head) * L + i) * L + y * view.grid.window_w + x];
          });
          row.once([=] { d_table[r] += total; });
        },
        queries);
  }

  /// Padding tokens are the projection's bias: their dk and dv belong to it.
  void bias_gradients(Stream& stream, const View<T>& view, const float* p, const float* ds, const T* dout,
                      float* d_bias) const {
    const int64_t L = grid_.tokens, H = heads_, D = depth_, C = H * D, windows = images_ * grid_.windows;
    launch_rows(
        stream, 2 * C,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const bool value = r >= C;
          const int64_t head = r % C / D, c = r % D;
          const float total = row.sum(windows * L, [=](int64_t token) {
            const int64_t first = (token / L * H + head) * L;  // the window's query 0
            const Place at = view.place(first + token % L);
            if (view.grid.pixel(at.window, at.token) >= 0) return 0.f;
            float sum = 0;
            for (int i = 0; i < L; ++i) {
              const T* const gradient = view.output(dout, at, i);
              if (gradient == nullptr) continue;
              const int64_t pair = (first + i) * L + at.token;
              sum += value ? p[pair] * gradient[c] : view.scale * ds[pair] * view.vector(at, i, 0)[c];
            }
            return sum;
          });
          row.once([=] { d_bias[C + r] += total; });
        },
        windows * L);
  }

 private:
  WindowGrid grid_;
  int64_t heads_, depth_, images_;
  bool training_;
};

#if defined(__CUDACC__)
KINDRED_SINGLE_SOURCE_KERNEL("window_attention", WindowAttention, WindowAttentionKernel);
#else
KINDRED_SINGLE_SOURCE_KERNEL("window_attention/reference", WindowAttention, WindowAttentionKernel);
#endif

}  // namespace

}  // namespace kindred
