// Depthwise convolution in its plain form: a row of the launch is a pixel's channels, gathered tap by tap.
// This is the CUDA kernel, and on the CPU the reference and the fallback of depthwise_conv2d_cpu.cc.
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

/// y = scale act(y gain + shift) + bias + residual over rows of C, in place.
struct Finish {
  Stream& stream;
  ChannelFold fold;
  const float *scale, *bias, *residual;  // null: absent
  float* y;
  int64_t rows, cols;

  template <Activation A>
  void run() const {
    const Finish f = *this;
    write_matrix(stream, rows, cols, y, false, [=] KINDRED_DEV(int64_t r, int64_t c) {
      const float value = activate<A>(f.y[r * f.cols + c] * f.fold.scale(c) + f.fold.shift(c));
      const float affine = f.scale != nullptr ? *f.scale * value + *f.bias : value;
      return f.residual != nullptr ? affine + f.residual[r * f.cols + c] : affine;
    });
  }
};

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
    return training_ ? columns_scratch_bytes<1>(out_.rows(), geometry_.channels) : 0;
  }

  void forward(Stream& stream, const Io& io) override {
    const Geometry g = geometry_;
    const float *const x = io.inputs[0].f32(), *const weight = io.parameters[0].f32();
    float* const y = io.output.f32();
    launch_rows(
        stream, out_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const to = y + r * g.channels;
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
    if (!op_.bias && !op_.tail.batch_norm && op_.tail.epilogue.empty()) return;
    const ConvParameters p = conv_parameters(io.parameters, op_.bias, op_.tail);
    const Epilogue& epilogue = op_.tail.epilogue;
    with_activation(epilogue.activation,
                    Finish{stream, ChannelFold(p, op_.tail.eps), epilogue.affine ? p.scale.f32() : nullptr,
                           epilogue.affine ? p.shift.f32() : nullptr,
                           epilogue.residual ? io.inputs[1].f32() : nullptr, y, out_.rows(), g.channels});
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const Geometry g = geometry_;
    const float *const x = io.inputs[0].f32(), *const dy = grads.output.f32();
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
    const float *const dy = grads.output.f32(), *const weight = io.parameters[0].f32();
    float* const dx = grads.inputs[0].f32();
    const bool accumulate = grads.accumulate[0] != 0;
    launch_rows(
        stream, in_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const to = dx + r * g.channels;
          if (!accumulate) row.each(g.channels, [=](int64_t c) { to[c] = 0; });
          for (int ky = 0; ky < g.window.kernel_h; ++ky) {
            for (int kx = 0; kx < g.window.kernel_w; ++kx) {
              const int64_t from = g.output_of(r, ky, kx);
              if (from < 0) continue;
              const float* const tap = weight + (ky * g.window.kernel_w + kx) * g.channels;
              row.each(g.channels, [=](int64_t c) { to[c] += dy[from + c] * tap[c]; });
            }
          }
        },
        op_.window.taps() * g.channels);
  }

 private:
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
