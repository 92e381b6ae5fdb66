#include "tests/support/toy_ops.h"

#include <cmath>

#include "common/engine/launch.h"

namespace kindred::test {

Shape ToyScale::output_shape(std::span<const Shape> inputs) const {
  if (inputs.size() != (add ? 2u : 1u)) fail("toy_scale got ", inputs.size(), " inputs");
  return inputs[0];
}

std::shared_ptr<const Op> ToyScale::fused_with(const Op& next, int) const {
  if (add) return nullptr;
  auto fused = std::make_shared<ToyScale>(*this);
  if (const auto* scale = dynamic_cast<const ToyScale*>(&next); scale && !scale->add) {
    fused->scales += scale->scales;
    return fused;
  }
  if (next.type() != "toy_add") return nullptr;
  fused->add = true;
  return fused;
}

Shape ToyAdd::output_shape(std::span<const Shape> inputs) const {
  if (inputs.size() != 2 || !(inputs[0] == inputs[1])) fail("toy_add expects two inputs of one shape");
  return inputs[0];
}

Value toy_scale(Graph& graph, Value x, bool trainable) {
  const Shape shape{graph.shape(x)[-1]};
  const Param weight = trainable ? graph.parameter("weight", shape, Init::normal_std(0.8))
                                 : graph.buffer("weight", shape, Init::value(1.25));
  return graph.apply(std::make_shared<ToyScale>(), {x}, {weight});
}

namespace {

/// target = or += f(i).
template <class F>
void write(Stream& stream, const Tensor& target, bool accumulate, F f) {
  float* const out = target.f32();
  launch_each(stream, target.elements(), [=](int64_t i) { out[i] = (accumulate ? out[i] : 0) + f(i); });
}

struct ToyScaleKernel : Kernel {
  ToyScaleKernel(const ToyScale& op, const KernelSpec& spec)
      : scales(op.scales), add(op.add), rows(spec.output.rows()), cols(spec.output[-1]) {}
  int64_t scratch_bytes() const override { return columns_scratch_bytes<1>(rows, cols); }

  void forward(Stream& stream, const Io& io) override {
    const float *x = io.inputs[0].f32(), *other = add ? io.inputs[1].f32() : nullptr;
    std::array<const float*, 4> weights{};
    const int64_t count = scales, c = cols;
    for (size_t k = 0; k < io.parameters.size(); ++k) weights.at(k) = io.parameters[k].f32();
    write(stream, io.output, false, [=](int64_t i) {
      float y = x[i];
      for (int64_t k = 0; k < count; ++k) y *= weights[static_cast<size_t>(k)][i % c];
      return y + (other ? other[i] : 0);
    });
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    KINDRED_ASSERT(scales == 1 && !add);
    const float *x = io.inputs[0].f32(), *w = io.parameters[0].f32(), *dy = grads.output.f32();
    const int64_t c = cols;
    if (grads.inputs[0]) {
      write(stream, grads.inputs[0], grads.accumulate[0], [=](int64_t i) { return dy[i] * w[i % c]; });
    }
    if (!grads.parameters[0]) return;
    launch_columns<1>(
        stream, rows, cols, [=](int64_t r, int64_t i) { return Sums<1>{{dy[r * c + i] * x[r * c + i]}}; },
        {{grads.parameters[0].f32()}}, Write::add, io.scratch);
  }

  int scales;
  bool add;
  int64_t rows, cols;
};

struct ToyAddKernel : Kernel {
  ToyAddKernel(const ToyAdd&, const KernelSpec& spec) : elements(spec.output.elements()) {}
  int64_t scratch_bytes() const override { return elements * static_cast<int64_t>(sizeof(float)); }

  void forward(Stream& stream, const Io& io) override {
    const float *a = io.inputs[0].f32(), *b = io.inputs[1].f32();
    write(stream, io.output, false, [=](int64_t i) { return a[i] + b[i]; });
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    auto* const copy = static_cast<float*>(io.scratch.raw());
    stream.copy(copy, grads.output.raw(), grads.output.bytes());
    for (size_t k = 0; k < 2; ++k) {
      if (!grads.inputs[k]) continue;
      write(stream, grads.inputs[k], grads.accumulate[k], [=](int64_t i) { return copy[i]; });
    }
  }

  int64_t elements;
};

struct ToySineKernel : Kernel {
  ToySineKernel(const ToySine&, const KernelSpec&) {}
  void forward(Stream& stream, const Io& io) override {
    const float* const x = io.inputs[0].f32();
    write(stream, io.output, false, [=](int64_t i) { return std::sin(x[i]); });
  }
  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const float *x = io.inputs[0].f32(), *dy = grads.output.f32();
    write(stream, grads.inputs[0], grads.accumulate[0], [=](int64_t i) { return dy[i] * std::cos(x[i]); });
  }
};

struct ToySigmoidKernel : Kernel {
  ToySigmoidKernel(const ToySigmoid&, const KernelSpec&) {}
  void forward(Stream& stream, const Io& io) override {
    const float* const x = io.inputs[0].f32();
    write(stream, io.output, false, [=](int64_t i) { return 1 / (1 + std::exp(-x[i])); });
  }
  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const float *y = io.output.f32(), *dy = grads.output.f32();
    write(stream, grads.inputs[0], grads.accumulate[0], [=](int64_t i) { return dy[i] * y[i] * (1 - y[i]); });
  }
};

struct ToySquareKernel : Kernel {
  ToySquareKernel(const ToySquare&, const KernelSpec& spec) : elements(spec.output.elements()) {}
  int64_t state_bytes() const override { return elements * static_cast<int64_t>(sizeof(float)); }
  void forward(Stream& stream, const Io& io) override {
    auto* const kept = static_cast<float*>(io.state.raw());
    const float* const x = io.inputs[0].f32();
    write(stream, io.output, false, [=](int64_t i) { return x[i] * (kept[i] = std::abs(x[i])); });
  }
  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const auto* const kept = static_cast<const float*>(io.state.raw());
    const float* const dy = grads.output.f32();
    write(stream, grads.inputs[0], grads.accumulate[0], [=](int64_t i) { return 2 * dy[i] * kept[i]; });
  }
  int64_t elements;
};

KINDRED_KERNEL(cpu, "toy_scale", ToyScale, ToyScaleKernel);
KINDRED_KERNEL(cpu, "toy_add", ToyAdd, ToyAddKernel);
KINDRED_KERNEL(cpu, "toy_sine", ToySine, ToySineKernel);
KINDRED_KERNEL(cpu, "toy_sigmoid", ToySigmoid, ToySigmoidKernel);
KINDRED_KERNEL(cpu, "toy_square", ToySquare, ToySquareKernel);

}  // namespace
}  // namespace kindred::test
