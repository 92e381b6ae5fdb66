// Depthwise convolution on the CPU, square 3x3 and 5x5 windows at stride 1 and 2; anything else, and fewer
// channels than a register has lanes, goes to the plain kernel. oneDNN's own weight gradient takes ten times
// this one's time. Sums are taken in an order that depends on the shape alone.
#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "common/base/parallel.h"
#include "common/engine/launch.h"
#include "common/ops/activation_math.h"
#include "common/ops/conv_fold.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/depthwise_tile.h"

namespace kindred {
namespace {

using namespace depthwise;

/// Images in and out, and the window's place.
struct Geometry {
  int64_t images, height, width, channels, oh, ow;
  int top, left, kernel, stride;

  int64_t blocks() const { return (channels + kLanes - 1) / kLanes; }
  /// First channel of a block; the last block overlaps, rather than end beyond the channels.
  int64_t first_channel(int64_t block) const { return std::min(block * kLanes, channels - kLanes); }
  int lanes_done(int64_t block) const { return static_cast<int>(block * kLanes - first_channel(block)); }
  template <class X>
  Line<X> input(const X* x, int64_t image, int64_t row, int64_t c) const {
    return {x + (image * height + row) * width * channels + c, channels, width};
  }
  template <class X>
  Line<X> output(const X* y, int64_t image, int64_t row, int64_t c) const {
    return {y + (image * oh + row) * ow * channels + c, channels, ow};
  }
};

/// One row of the output (forward), or of the input's gradient (backward), to fp32 memory.
template <class X>
struct RowJob {
  const Geometry& g;
  const X* from;
  const float* weight;
  float* to;  // the row
  int64_t image, row;
  bool add = false;
};

/// Writes accumulators [first + t] of a row that lie inside it.
template <int T>
[[gnu::always_inline]] inline void store_tile(const Vector (&sums)[T], float* row, int64_t channels,
                                              int64_t first, int64_t columns, int skip, bool add) {
  if (first >= 0 && first + T <= columns && skip == 0) {
    unrolled<T>([&](auto t)
                    __attribute__((always_inline)) { store(row + (first + t) * channels, sums[t], 0, add); });
    return;
  }
  unrolled<T>([&](auto t) __attribute__((always_inline)) {
    const int64_t x = first + t;
    if (x >= 0 && x < columns) store(row + x * channels, sums[t], skip, add);
  });
}

/// body(c, lanes done, first column) for all tiles of a row: by groups of blocks whose weights stay in the
/// nearest cache, along the row inside a group, so that memory is read and written nearly in its order.
template <class F>
[[gnu::always_inline]] inline void each_tile(const Geometry& g, int64_t begin, int64_t end, int64_t step,
                                             F body) {
  constexpr int64_t kGroup = 8;
  for (int64_t group = 0; group < g.blocks(); group += kGroup) {
    const int64_t last = std::min(g.blocks(), group + kGroup);
    for (int64_t column = begin; column < end; column += step)
      for (int64_t block = group; block < last; ++block)
        body(g.first_channel(block), g.lanes_done(block), column);
  }
}

template <class X, int K, int S, int T>
void forward_row(const RowJob<X>& job) {
  using Meeting = Down<K, S, T>;
  const Geometry g = job.g;
  const int64_t y0 = job.row * S - g.top;
  const int first_tap = static_cast<int>(std::max<int64_t>(0, -y0));
  const int last_tap = static_cast<int>(std::min<int64_t>(K, g.height - y0));
  each_tile(
      g, 0, g.ow, T, [&](int64_t c, int done, int64_t o) __attribute__((always_inline)) {
        const int64_t first = o * S - g.left;
        const bool inside = first >= 0 && first + Meeting::kColumns <= g.width;
        Vector sums[T] = {};
        for (int k = first_tap; k < last_tap; ++k) {
          const Line<X> line = g.input(job.from, job.image, y0 + k, c);
          const float* const taps = job.weight + k * K * g.channels + c;
          if (inside) {
            convolve<Meeting, K, true>(sums, line, first, taps);
          } else {
            convolve<Meeting, K, false>(sums, line, first, taps);
          }
        }
        store_tile(sums, job.to + c, g.channels, o, g.ow, done, false);
      });
}

template <class X, int K, int S, int T>
void backward_row(const RowJob<X>& job) {
  using Meeting = Up<K, S, T>;
  static_assert(T % S == 0);
  const Geometry g = job.g;
  // Columns in steps of S T from the last multiple of S at or before the padding: accumulator t is column m S
  // - left + t.
  const int64_t begin = g.left / S * S;
  each_tile(
      g, begin, g.width + g.left, T, [&](int64_t c, int done, int64_t column) __attribute__((always_inline)) {
        const int64_t first = column / S - Meeting::kBack;
        const bool inside = first >= 0 && first + Meeting::kColumns <= g.ow;
        Vector sums[T] = {};
        for (int k = 0; k < K; ++k) {
          const int64_t above = job.row + g.top - k;
          if (above < 0 || above % S != 0 || above / S >= g.oh) continue;
          const Line<X> line = g.output(job.from, job.image, above / S, c);
          const float* const taps = job.weight + k * K * g.channels + c;
          if (inside) {
            convolve<Meeting, K, true>(sums, line, first, taps);
          } else {
            convolve<Meeting, K, false>(sums, line, first, taps);
          }
        }
        store_tile(sums, job.to + c, g.channels, column - g.left, g.width, done, job.add);
      });
}

/// Weight gradients of one block of channels over output rows [begin, end), counted over all images.
template <class X>
struct WeightJob {
  const Geometry& g;
  const X* x;
  const X* dy;
  float* partial;  // [K, K, C]
  int64_t block, begin, end;
};

template <class X, int K, int S, int T>
void weight_rows(const WeightJob<X>& job) {
  using Meeting = Down<K, S, T>;
  const Geometry& g = job.g;
  const int64_t c = g.first_channel(job.block);
  Vector sums[K][2 * K] = {};
  for (int64_t r = job.begin; r < job.end; ++r) {
    const int64_t image = r / g.oh, row = r % g.oh, y0 = row * S - g.top;
    const Line<X> above = g.output(job.dy, image, row, c);
    for (int64_t o = 0; o < g.ow; o += T) {
      Vector gradient[T];
      const Columns<false, T, X> columns(above, o);
      unrolled<T>([&](auto t) __attribute__((always_inline)) { load(gradient[t], columns.column(t)); });
      const int64_t first = o * S - g.left;
      const bool inside = first >= 0 && first + Meeting::kColumns <= g.width;
      for (int k = 0; k < K; ++k) {
        if (y0 + k < 0 || y0 + k >= g.height) continue;
        const Line<X> line = g.input(job.x, image, y0 + k, c);
        if (inside) {
          correlate<Meeting, K, true>(sums[k], line, first, gradient);
        } else {
          correlate<Meeting, K, false>(sums[k], line, first, gradient);
        }
      }
    }
  }
  for (int ky = 0; ky < K; ++ky) {
    for (int kx = 0; kx < K; ++kx) {
      const Vector sum = sums[ky][2 * kx] + sums[ky][2 * kx + 1];
      store(job.partial + (ky * K + kx) * g.channels + c, sum, g.lanes_done(job.block), false);
    }
  }
}

/// The loops for one window; `forward` and `weights` by width of the output, `backward` by width of the
/// input.
template <class X>
struct Loops {
  void (*forward)(const RowJob<X>&);
  void (*backward)(const RowJob<X>&);
  void (*weights)(const WeightJob<X>&);
};

/// Pixels at a time: eight, or less where that leaves fewer idle at the end of a row.
int tile_width(int64_t columns) {
  if (columns <= 4) return 4;
  return (columns + 6) / 7 * 7 < (columns + 7) / 8 * 8 ? 7 : 8;
}

template <class X, int K, int S>
Loops<X> pick_loops(int64_t ow, int64_t width) {
  Loops<X> loops{};
  const int out = tile_width(ow), in = S == 1 ? tile_width(width) : width <= 4 ? 4 : 8;
  switch (out) {
    case 4:
      loops.forward = forward_row<X, K, S, 4>, loops.weights = weight_rows<X, K, S, 4>;
      break;
    case 7:
      loops.forward = forward_row<X, K, S, 7>, loops.weights = weight_rows<X, K, S, 7>;
      break;
    default:
      loops.forward = forward_row<X, K, S, 8>, loops.weights = weight_rows<X, K, S, 8>;
  }
  if (in == 4) return loops.backward = backward_row<X, K, S, 4>, loops;
  if constexpr (S == 1)
    if (in == 7) return loops.backward = backward_row<X, K, S, 7>, loops;
  return loops.backward = backward_row<X, K, S, 8>, loops;
}

bool has_loops(const Window& w, int64_t channels) {
  return w.kernel_h == w.kernel_w && (w.kernel_h == 3 || w.kernel_h == 5) && w.stride_h == w.stride_w &&
         w.stride_h <= 2 && channels >= kLanes;
}

template <class X>
Loops<X> pick_loops(const Geometry& g) {
  if (g.kernel == 3) {
    return g.stride == 1 ? pick_loops<X, 3, 1>(g.ow, g.width) : pick_loops<X, 3, 2>(g.ow, g.width);
  }
  return g.stride == 1 ? pick_loops<X, 5, 1>(g.ow, g.width) : pick_loops<X, 5, 2>(g.ow, g.width);
}

/// y = scale act(v + shift[c]) + bias + residual over one row of pixels; v and y may be the same memory.
template <class T>
struct Finish {
  const float *v, *shift;
  const T* residual;  // null: absent
  T* y;
  float scale, bias;
  int64_t pixels, channels;

  template <Activation A>
  void run() const {
    for (int64_t p = 0; p < pixels; ++p) {
      const float* const from = v + p * channels;
      T* const to = y + p * channels;
      if (residual != nullptr) {
        const T* const added = residual + p * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c)
          to[c] = scale * activate<A>(from[c] + shift[c]) + bias + added[c];
      } else {
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) to[c] = scale * activate<A>(from[c] + shift[c]) + bias;
      }
    }
  }
};

template <class T>
class DepthwiseConv2dCpu final : public Kernel {
 public:
  DepthwiseConv2dCpu(const DepthwiseConv2d& op, const KernelSpec& spec)
      : op_(op), training_(spec.training), channels_(spec.output[3]), out_rows_(spec.output.rows()) {
    const Window& w = op.window;
    if (!has_loops(w, channels_)) {
      plain_ = kernel_registry().get("cpu/depthwise_conv2d_plain").make(spec);
      return;
    }
    KINDRED_ASSERT(!training_ || (!op.tail.batch_norm && op.tail.epilogue.empty()));
    const Shape &x = spec.inputs[0], &y = spec.output;
    geometry_ = {x[0], x[1], x[2], x[3], y[1], y[2], w.top, w.left, w.kernel_h, w.stride_h};
    loops_ = pick_loops<T>(geometry_);
    shift_.resize(static_cast<size_t>(channels_));
    // Enough jobs for the cores of a large machine, each a good many rows.
    const int64_t rows = x[0] * y[1], wanted = std::max<int64_t>(1, 64 / geometry_.blocks());
    chunk_rows_ = std::max<int64_t>(8, (rows + wanted - 1) / wanted);
    chunks_ = (rows + chunk_rows_ - 1) / chunk_rows_;
  }

  int64_t scratch_bytes() const override {
    if (plain_) return plain_->scratch_bytes();
    const int64_t row = std::max(geometry_.ow, training_ ? geometry_.width : 0) * channels_;
    const int64_t rows = kF32 ? 0 : kTasks * row * static_cast<int64_t>(sizeof(float));
    if (!training_) return rows;
    const int64_t partials = chunks_ * op_.window.taps() * channels_ * static_cast<int64_t>(sizeof(float));
    return std::max({rows, partials, op_.bias ? columns_scratch_bytes<1>(out_rows_, channels_) : 0});
  }

  void forward(Stream& stream, const Io& io) override {
    if (plain_) return plain_->forward(stream, io);
    if (!training_ && io.parameter_version != folded_version_) fold(io);
    const Geometry& g = geometry_;
    const T* const x = io.inputs[0].data<T>();
    const float* const weight = training_ ? io.parameters[0].f32() : folded_.data();
    const float* const shift = training_ && op_.bias ? io.parameters[1].f32() : shift_.data();
    const Epilogue& epilogue = op_.tail.epilogue;
    const T* const residual = epilogue.residual ? io.inputs[1].data<T>() : nullptr;
    const bool finish = !kF32 || op_.bias || op_.tail.batch_norm || !epilogue.empty();
    each_row(g.images * g.oh, g.ow, io.output, io.scratch, [&](int64_t r, float* sums) {
      loops_.forward({g, x, weight, sums, r / g.oh, r % g.oh});
      if (!finish) return;
      const int64_t first = r * g.ow * g.channels;
      with_activation(epilogue.activation,
                      Finish<T>{sums, shift, residual != nullptr ? residual + first : nullptr,
                                io.output.data<T>() + first, scale_, bias_, g.ow, g.channels});
    });
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (plain_) return plain_->backward(stream, io, grads);
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    if (grads.inputs[0]) backward_data(dy, io, grads);
    backward_weights(x, dy, static_cast<float*>(io.scratch.raw()), grads.parameters[0].f32());
    if (!op_.bias) return;
    const int64_t channels = channels_;
    launch_columns<1>(
        stream, out_rows_, channels, [=](int64_t r, int64_t c) { return Sums<1>{{dy[r * channels + c]}}; },
        {{grads.parameters[1].f32()}}, Write::add, io.scratch);
  }

 private:
  static constexpr bool kF32 = std::is_same_v<T, float>;
  static constexpr int64_t kTasks = 64;  // that rows are shared out to: enough for a large machine

  /// f(r, sums) for every row of `result`, [columns, C] each: `sums` is the row itself where that is fp32,
  /// otherwise scratch of the task.
  template <class F>
  void each_row(int64_t rows, int64_t columns, const Tensor& result, const Tensor& scratch, F f) const {
    const int64_t tasks = std::min(rows, kTasks), row = columns * channels_;
    float* const memory = static_cast<float*>(kF32 ? result.raw() : scratch.raw());
    parallel_for(tasks, [&](int64_t task) {
      for (int64_t r = rows * task / tasks; r < rows * (task + 1) / tasks; ++r)
        f(r, memory + (kF32 ? r : task) * row);
    });
  }

  void backward_data(const T* dy, const Io& io, const Grads& grads) const {
    const Geometry& g = geometry_;
    const float* const weight = io.parameters[0].f32();
    T* const dx = grads.inputs[0].data<T>();
    const bool add = grads.accumulate[0] != 0;
    each_row(g.images * g.height, g.width, grads.inputs[0], io.scratch, [&](int64_t r, float* sums) {
      loops_.backward({g, dy, weight, sums, r / g.height, r % g.height, kF32 && add});
      if constexpr (!kF32) {
        const int64_t n = g.width * g.channels;
        T* const to = dx + r * n;
        if (add) {
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) to[i] += sums[i];
        } else {
#pragma omp simd
          for (int64_t i = 0; i < n; ++i) to[i] = sums[i];
        }
      }
    });
  }

  void backward_weights(const T* x, const T* dy, float* partials, float* dw) const {
    const Geometry& g = geometry_;
    const int64_t weights = op_.window.taps() * channels_, rows = g.images * g.oh;
    parallel_for(chunks_ * g.blocks(), [&](int64_t job) {
      const int64_t chunk = job / g.blocks(), begin = chunk * chunk_rows_;
      loops_.weights({g, x, dy, partials + chunk * weights, job % g.blocks(), begin,
                      std::min(rows, begin + chunk_rows_)});
    });
    parallel_for(
        weights,
        [&](int64_t i) {
          double sum = static_cast<double>(dw[i]);
          for (int64_t chunk = 0; chunk < chunks_; ++chunk)
            sum += static_cast<double>(partials[chunk * weights + i]);
          dw[i] = static_cast<float>(sum);
        },
        4096);
  }

  /// Inference: the batch norm into the weights, the affine block's numbers out of memory.
  void fold(const Io& io) {
    const ConvParameters parameters = conv_parameters(io.parameters, op_.bias, op_.tail);
    const ChannelFold fold(parameters, op_.tail.eps);
    const float* const weight = io.parameters[0].f32();
    folded_.resize(static_cast<size_t>(io.parameters[0].elements()));
    for (size_t i = 0; i < folded_.size(); ++i)
      folded_[i] = weight[i] * fold.scale(static_cast<int64_t>(i) % channels_);
    for (int64_t c = 0; c < channels_; ++c) shift_[static_cast<size_t>(c)] = fold.shift(c);
    if (op_.tail.epilogue.affine) scale_ = *parameters.scale.f32(), bias_ = *parameters.shift.f32();
    folded_version_ = io.parameter_version;
  }

  const DepthwiseConv2d op_;
  const bool training_;
  const int64_t channels_, out_rows_;
  std::unique_ptr<Kernel> plain_;  // does it all, where there are no loops for the window
  Geometry geometry_{};
  Loops<T> loops_{};
  int64_t chunk_rows_ = 0, chunks_ = 0;  // of the weight gradient: rows that one partial sum covers
  std::vector<float> folded_, shift_;    // shift_: zeros in training
  float scale_ = 1, bias_ = 0;
  int64_t folded_version_ = -1;
};

KINDRED_KERNEL(cpu, "depthwise_conv2d", DepthwiseConv2d, DepthwiseConv2dCpu);

}  // namespace
}  // namespace kindred
