// Depthwise convolution in its plain form: a row of the launch is a pixel's channels, gathered tap by tap.
// This is the CUDA kernel, and on the CPU the reference and the fallback of depthwise_conv2d_cpu.cc.
#include <type_traits>

#include "common/engine/launch.h"
#include "common/ops/activation_math.h"
#include "common/ops/conv_fold.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/elementwise.h"

namespace kindred {
namespace {

/// Where things lie; a pixel index r counts over all images.
struct Geometry {
  Window window;
  int64_t height, width, channels, oh, ow;

  /// Offset of the input pixel under a tap of output pixel r, or -1 where it is padding.
  KINDRED_DEV int64_t input_of(int64_t r, int ky, int kx) const {
    const int64_t y = r / ow % oh * window.stride_h - window.top + ky,
                  x = r % ow * window.stride_w - window.left + kx;
    if (y < 0 || y >= height || x < 0 || x >= width) return -1;
    return ((r / (oh * ow) * height + y) * width + x) * channels;
  }

  /// Offset of the output pixel that a tap takes input pixel r to, or -1 where there is none.
  KINDRED_DEV int64_t output_of(int64_t r, int ky, int kx) const {
    const int64_t y = r / width % height + window.top - ky, x = r % width + window.left - kx;
    if (y < 0 || y % window.stride_h != 0 || y / window.stride_h >= oh) return -1;
    if (x < 0 || x % window.stride_w != 0 || x / window.stride_w >= ow) return -1;
    return ((r / (height * width) * oh + y / window.stride_h) * ow + x / window.stride_w) * channels;
  }
};

/// y = scale act(v gain + shift) + bias + residual over rows of C; v and y may be the same memory.
template <class T>
struct Finish {
  Stream& stream;
  ChannelFold fold;
  const float *scale, *bias;  // null: absent
  const T* residual;          // null: absent
  const float* v;
  T* y;
  int64_t rows, cols;

  template <Activation A>
  void run() const {
    const Finish f = *this;
    write_matrix(stream, rows, cols, y, false, [=] KINDRED_DEV(int64_t r, int64_t c) {
      const float value = activate<A>(f.v[r * f.cols + c] * f.fold.scale(c) + f.fold.shift(c));
      const float affine = f.scale != nullptr ? *f.scale * value + *f.bias : value;
      return f.residual != nullptr ? affine + f.residual[r * f.cols + c] : affine;
    });
  }
};

template <class T>
class DepthwiseConv2dKernel final : public Kernel {
 public:
  DepthwiseConv2dKernel(const DepthwiseConv2d& op, const KernelSpec& spec)
      : op_(op),
        in_(spec.inputs[0]),
        out_(spec.output),
        geometry_{op.window, in_[1], in_[2], in_[3], out_[1], out_[2]},
        training_(spec.training) {
    KINDRED_ASSERT(!training_ || (!op.tail.batch_norm && op.tail.epilogue.empty()));
  }

  int64_t scratch_bytes() const override {
    const int64_t columns = training_ ? columns_scratch_bytes<1>(out_.rows(), geometry_.channels) : 0;
    const int64_t elements = training_ ? std::max(in_.elements(), out_.elements()) : out_.elements();
    return kSumsInPlace ? columns : std::max(columns, elements * static_cast<int64_t>(sizeof(float)));
  }

  void forward(Stream& stream, const Io& io) override {
    const Geometry g = geometry_;
    const T* const x = io.inputs[0].data<T>();
    const float* const weight = io.parameters[0].f32();
    T* const y = io.output.data<T>();
    float* const sums = sums_of(io.output, io.scratch);
    launch_rows(
        stream, out_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const to = sums + r * g.channels;
          row.each(g.channels, [=](int64_t c) { to[c] = 0; });
          for (int ky = 0; ky < g.window.kernel_h; ++ky) {
            for (int kx = 0; kx < g.window.kernel_w; ++kx) {
              const int64_t from = g.input_of(r, ky, kx);
              if (from < 0) continue;
              const float* const tap = weight + (ky * g.window.kernel_w + kx) * g.channels;
              row.each(g.channels, [=](int64_t c) { to[c] += x[from + c] * tap[c]; });
            }
          }
        },
        op_.window.taps() * g.channels);
    if (kSumsInPlace && !op_.bias && !op_.tail.batch_norm && op_.tail.epilogue.empty()) return;
    const ConvParameters p = conv_parameters(io.parameters, op_.bias, op_.tail);
    const Epilogue& epilogue = op_.tail.epilogue;
    with_activation(
        epilogue.activation,
        Finish<T>{stream, ChannelFold(p, op_.tail.eps), epilogue.affine ? p.scale.f32() : nullptr,
                  epilogue.affine ? p.shift.f32() : nullptr,
                  epilogue.residual ? io.inputs[1].data<T>() : nullptr, sums, y, out_.rows(), g.channels});
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const Geometry g = geometry_;
    const T *const x = io.inputs[0].data<T>(), *const dy = grads.output.data<T>();
    for (int ky = 0; ky < g.window.kernel_h; ++ky) {
      for (int kx = 0; kx < g.window.kernel_w; ++kx) {
        launch_columns<1>(
            stream, out_.rows(), g.channels,
            [=] KINDRED_DEV(int64_t r, int64_t c) {
              const int64_t from = g.input_of(r, ky, kx);
              return Sums<1>{{from < 0 ? 0.0f : dy[r * g.channels + c] * x[from + c]}};
            },
            {{grads.parameters[0].f32() + (ky * g.window.kernel_w + kx) * g.channels}}, Write::add,
            io.scratch);
      }
    }
    if (op_.bias) {
      launch_columns<1>(
          stream, out_.rows(), g.channels,
          [=] KINDRED_DEV(int64_t r, int64_t c) { return Sums<1>{{dy[r * g.channels + c]}}; },
          {{grads.parameters[1].f32()}}, Write::add, io.scratch);
    }
    if (grads.inputs[0]) backward_data(stream, io, grads);
  }

  /// Public, because nvcc wants it so of functions with device lambdas.
  void backward_data(Stream& stream, const Io& io, const Grads& grads) {
    const Geometry g = geometry_;
    const T* const dy = grads.output.data<T>();
    const float* const weight = io.parameters[0].f32();
    T* const dx = grads.inputs[0].data<T>();
    float* const sums = sums_of(grads.inputs[0], io.scratch);
    const bool accumulate = grads.accumulate[0] != 0;
    launch_rows(
        stream, in_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const to = sums + r * g.channels;
          if (!accumulate || !kSumsInPlace) row.each(g.channels, [=](int64_t c) { to[c] = 0; });
          for (int ky = 0; ky < g.window.kernel_h; ++ky) {
            for (int kx = 0; kx < g.window.kernel_w; ++kx) {
              const int64_t from = g.output_of(r, ky, kx);
              if (from < 0) continue;
              const float* const tap = weight + (ky * g.window.kernel_w + kx) * g.channels;
              row.each(g.channels, [=](int64_t c) { to[c] += dy[from + c] * tap[c]; });
            }
          }
          if (kSumsInPlace) return;
          T* const out = dx + r * g.channels;
          row.each(g.channels, [=](int64_t c) { out[c] = accumulate ? out[c] + to[c] : to[c]; });
        },
        op_.window.taps() * g.channels);
  }

 private:
  /// Sums over taps are fp32: in the result's own memory, or in scratch when that is bf16.
  static constexpr bool kSumsInPlace = std::is_same_v<T, float>;
  static float* sums_of(const Tensor& result, const Tensor& scratch) {
    return static_cast<float*>(kSumsInPlace ? result.raw() : scratch.raw());
  }

  const DepthwiseConv2d op_;
  const Shape in_, out_;
  const Geometry geometry_;
  const bool training_;
};

#if defined(__CUDACC__)
KINDRED_SINGLE_SOURCE_KERNEL("depthwise_conv2d", DepthwiseConv2d, DepthwiseConv2dKernel);
#else
KINDRED_SINGLE_SOURCE_KERNEL("depthwise_conv2d_plain", DepthwiseConv2d, DepthwiseConv2dKernel);
#endif

}  // namespace
}  // namespace kindred
