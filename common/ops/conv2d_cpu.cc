// Dense and grouped convolution on the CPU, by oneDNN; NHWC in and out. Weights lie OHWI in the parameter
// buffer and are packed into the order oneDNN likes whenever they change (handed over as they are, they cost
// 400 times the time). The backward of a pointwise convolution is two matrix products that add their
// gradients in place. In bf16 images and weights are rounded, sums and the gradients of weights are fp32;
// where oneDNN has no bf16 convolutions, the fp32 ones run on widened copies.
#include <algorithm>
#include <array>
#include <vector>

#include "common/engine/cpu/cpu_stream.h"  // native_bf16
#include "common/engine/cpu/dnnl_compat.h"
#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "common/ops/conv2d.h"
#include "common/ops/conv_fold.h"
#include "common/ops/stored_weights.h"

namespace kindred {
namespace {

using onednn::Call;
using onednn::Desc;

using DataType = dnnl::memory::data_type;
constexpr int kResidualArg = DNNL_ARG_SRC_1;

void append_activation(dnnl::post_ops& ops, Activation activation) {
  using dnnl::algorithm;
  switch (activation) {
    case Activation::none:
      return;
    case Activation::relu:
      return onednn::append_eltwise(ops, algorithm::eltwise_relu);
    case Activation::hardswish:
      return onednn::append_eltwise(ops, algorithm::eltwise_hardswish, 1.0f / 6, 0.5f);
    case Activation::sigmoid:
      return onednn::append_eltwise(ops, algorithm::eltwise_logistic);
    case Activation::gelu:
      return onednn::append_eltwise(ops, algorithm::eltwise_gelu_erf);
    case Activation::hardsigmoid:
      onednn::append_eltwise(ops, algorithm::eltwise_linear, 1.0f / 6, 0.5f);
      return onednn::append_eltwise(ops, algorithm::eltwise_clip, 0, 1);
  }
}

/// Weights in the order a primitive wants, and the reorder that brings them there.
class PackedWeights {
 public:
  PackedWeights() = default;
  PackedWeights(Stream& stream, const Desc& plain, const Desc& packed)
      : memory_(stream.allocate(static_cast<int64_t>(packed.get_size()))) {
    const dnnl::engine& engine = dnnl_engine(stream);
    const dnnl::reorder::primitive_desc desc(engine, plain, engine, packed, onednn::user_scratchpad());
    reorder_ = Call(dnnl::reorder(desc), engine, {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, packed}});
    KINDRED_ASSERT(desc.scratchpad_desc().get_size() == 0);
  }
  void pack(Stream& stream, const float* plain) {
    reorder_.run(dnnl_stream(stream), {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, memory_.get()}});
  }
  const void* data() const { return memory_.get(); }

 private:
  std::shared_ptr<std::byte> memory_;
  Call reorder_;
};

template <class T>
class Conv2dCpu final : public Kernel {
 public:
  Conv2dCpu(const Conv2d& op, const KernelSpec& spec)
      : op_(op),
        x_(spec.inputs[0]),
        y_(spec.output),
        training_(spec.training),
        emulated_(!std::is_same_v<T, float> && !native_bf16()),
        type_(std::is_same_v<T, float> || emulated_ ? DataType::f32 : DataType::bf16),
        engine_(dnnl_engine(spec.stream)),
        stored_(spec.stream, training_ && pointwise() ? op.outputs * x_[3] : 0) {
    KINDRED_ASSERT(!training_ || (!op.tail.batch_norm && op.tail.epilogue.empty()));
    has_shift_ = op.bias || op.tail.batch_norm;
    try {
      make_forward({1, 0});
      const Desc plain = plain_weights();
      packed_ = PackedWeights(spec.stream, plain, forward_desc_.weights_desc());
      if (training_ && !pointwise()) make_backward(spec.stream, plain);
    } catch (const dnnl::error& error) {
      fail("oneDNN cannot do conv2d ", op.attributes(), " on ", x_, ": ", error.what());
    }
    if (!training_ && has_shift_) shift_ = make_tensor(spec.stream, {op.outputs});
  }

  int64_t scratch_bytes() const override {
    return workspace_bytes_ + staged_bytes() + std::max(gradient_bytes(), columns_bytes());
  }

  void forward(Stream& stream, const Io& io) override {
    if (io.parameter_version != packed_version_) prepare(stream, io);
    const void* shift = training_ ? (op_.bias ? io.parameters[1].raw() : nullptr) : shift_.raw();
    const void* x = staged_in(stream, io.inputs[0], staged(io, 0));
    const void* residual =
        op_.tail.epilogue.residual ? staged_in(stream, io.inputs[1], staged(io, x_.elements())) : nullptr;
    float* const y = staged(io, x_.elements() + y_.elements());
    forward_.run(dnnl_stream(stream), {{DNNL_ARG_SRC, x},
                                       {DNNL_ARG_WEIGHTS, packed_.data()},
                                       {DNNL_ARG_BIAS, shift},
                                       {DNNL_ARG_DST, emulated_ ? y : io.output.raw()},
                                       {residual_arg_, residual},
                                       {DNNL_ARG_SCRATCHPAD, io.scratch.raw()}});
    if (emulated_) write(stream, io.output, y, false);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    const bool wants_data = static_cast<bool>(grads.inputs[0]);
    if (pointwise()) {
      backward_pointwise(stream, io, grads);
    } else {
      if (wants_data) backward_data(stream, io, grads);
      backward_weights(stream, io, grads);
    }
    if (!op_.bias) return;
    const T* dy = grads.output.data<T>();
    const int64_t outputs = op_.outputs;
    launch_columns<1>(
        stream, y_.rows(), outputs,
        [=] KINDRED_DEV(int64_t r, int64_t c) { return Sums<1>{{dy[r * outputs + c]}}; },
        {{grads.parameters[1].f32()}}, Write::add, io.scratch);
  }

 private:
  using Affine = std::array<float, 2>;  // scale and bias of the tail's affine block

  bool pointwise() const { return op_.window.pointwise() && op_.groups == 1; }

  Desc images(const Shape& shape) const {
    return {{shape[0], shape[3], shape[1], shape[2]}, type_, dnnl::memory::format_tag::nhwc};
  }

  dnnl::memory::dims weight_dims() const {
    const int64_t g = op_.groups, out = op_.outputs / g, in = x_[3] / g;
    if (g == 1) return {out, in, op_.window.kernel_h, op_.window.kernel_w};
    return {g, out, in, op_.window.kernel_h, op_.window.kernel_w};
  }

  Desc plain_weights() const {
    using dnnl::memory;
    return {weight_dims(), DataType::f32,
            op_.groups == 1 ? memory::format_tag::ohwi : memory::format_tag::gohwi};
  }

  onednn::Convolution convolution(bool with_bias, DataType weights) const {
    const Window& w = op_.window;
    const Desc bias = with_bias ? Desc({op_.outputs}, DataType::f32, dnnl::memory::format_tag::x) : Desc();
    return {images(x_),
            Desc(weight_dims(), weights, dnnl::memory::format_tag::any),
            bias,
            images(y_),
            {w.stride_h, w.stride_w},
            {w.top, w.left},
            {w.bottom, w.right}};
  }

  void need_workspace(const Desc& desc) {
    const int64_t bytes = (static_cast<int64_t>(desc.get_size()) + 255) / 256 * 256;
    workspace_bytes_ = std::max(workspace_bytes_, bytes);
  }

  void make_forward(const Affine& affine) {
    const Epilogue& epilogue = op_.tail.epilogue;
    dnnl::post_ops ops;
    append_activation(ops, epilogue.activation);
    if (epilogue.affine) onednn::append_eltwise(ops, dnnl::algorithm::eltwise_linear, affine[0], affine[1]);
    if (epilogue.residual) {
      residual_arg_ = DNNL_ARG_ATTR_MULTIPLE_POST_OP(ops.len()) | kResidualArg;
      ops.append_binary(dnnl::algorithm::binary_add, images(y_));
    }
    dnnl::primitive_attr attr = onednn::user_scratchpad();
    attr.set_post_ops(ops);
    const auto kind = training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    forward_desc_ = onednn::forward_desc(engine_, kind, convolution(has_shift_, type_), attr);
    need_workspace(forward_desc_.scratchpad_desc());
    forward_ = Call(dnnl::convolution_forward(forward_desc_), engine_,
                    {{DNNL_ARG_SRC, forward_desc_.src_desc()},
                     {DNNL_ARG_WEIGHTS, forward_desc_.weights_desc()},
                     {DNNL_ARG_BIAS, forward_desc_.bias_desc()},
                     {DNNL_ARG_DST, forward_desc_.dst_desc()},
                     {residual_arg_, epilogue.residual ? images(y_) : Desc()},
                     {DNNL_ARG_SCRATCHPAD, forward_desc_.scratchpad_desc()}});
    affine_ = affine;
  }

  void make_backward(Stream& stream, const Desc& plain) {
    const dnnl::primitive_attr attr = onednn::user_scratchpad();
    const auto data = onednn::backward_data_desc(engine_, convolution(false, type_), attr, forward_desc_);
    need_workspace(data.scratchpad_desc());
    data_ = Call(dnnl::convolution_backward_data(data), engine_,
                 {{DNNL_ARG_DIFF_SRC, data.diff_src_desc()},
                  {DNNL_ARG_WEIGHTS, data.weights_desc()},
                  {DNNL_ARG_DIFF_DST, data.diff_dst_desc()},
                  {DNNL_ARG_SCRATCHPAD, data.scratchpad_desc()}});
    packed_for_data_ = PackedWeights(stream, plain, data.weights_desc());

    const auto weights =
        onednn::backward_weights_desc(engine_, convolution(false, DataType::f32), attr, forward_desc_);
    need_workspace(weights.scratchpad_desc());
    weights_ = Call(dnnl::convolution_backward_weights(weights), engine_,
                    {{DNNL_ARG_SRC, weights.src_desc()},
                     {DNNL_ARG_DIFF_DST, weights.diff_dst_desc()},
                     {DNNL_ARG_DIFF_WEIGHTS, weights.diff_weights_desc()},
                     {DNNL_ARG_SCRATCHPAD, weights.scratchpad_desc()}});
    weights_gradient_bytes_ = static_cast<int64_t>(weights.diff_weights_desc().get_size());

    dnnl::post_ops sum;
    sum.append_sum(1);
    dnnl::primitive_attr adds = onednn::user_scratchpad();
    adds.set_post_ops(sum);
    const dnnl::reorder::primitive_desc add(engine_, weights.diff_weights_desc(), engine_, plain, adds);
    need_workspace(add.scratchpad_desc());
    add_weights_ = Call(dnnl::reorder(add), engine_,
                        {{DNNL_ARG_FROM, weights.diff_weights_desc()},
                         {DNNL_ARG_TO, plain},
                         {DNNL_ARG_SCRATCHPAD, add.scratchpad_desc()}});
  }

  /// Scratch behind the workspace: without bf16 primitives, widened copies of what they read and write,
  int64_t staged_bytes() const {
    return emulated_ ? (x_.elements() + 2 * y_.elements()) * int64_t{sizeof(float)} : 0;
  }
  /// and behind them a data gradient that is to be added, or weight gradients in oneDNN's order.
  int64_t gradient_bytes() const {
    if (!training_ || pointwise()) return 0;
    const int64_t element = dtype_bytes(emulated_ ? DType::f32 : dtype_of<T>());
    return std::max(x_.elements() * element, weights_gradient_bytes_);
  }
  int64_t columns_bytes() const {
    return training_ && op_.bias ? columns_scratch_bytes<1>(y_.rows(), op_.outputs) : 0;
  }

  /// Packs the weights, folds what the passes put behind the convolution.
  void prepare(Stream& stream, const Io& io) {
    const float* const weight = io.parameters[0].f32();
    std::vector<float> folded;
    packed_version_ = io.parameter_version;
    if (training_) {
      if (emulated_) folded.assign(weight, weight + io.parameters[0].elements()), round(folded);
      const float* const plain = emulated_ ? folded.data() : weight;
      packed_.pack(stream, plain);
      if (!pointwise()) packed_for_data_.pack(stream, plain);
      return;
    }
    const ConvParameters parameters = conv_parameters(io.parameters, op_.bias, op_.tail);
    const ChannelFold fold(parameters, op_.tail.eps);
    folded.assign(weight, weight + io.parameters[0].elements());
    const int64_t fan = static_cast<int64_t>(folded.size()) / op_.outputs;
    for (int64_t o = 0; o < op_.outputs; ++o) {
      const float scale = fold.scale(o);
      for (int64_t i = o * fan; i < (o + 1) * fan; ++i) folded[static_cast<size_t>(i)] *= scale;
      if (has_shift_) shift_.f32()[o] = fold.shift(o);
    }
    if (emulated_) round(folded);
    packed_.pack(stream, folded.data());
    if (!op_.tail.epilogue.affine) return;
    const Affine affine{*parameters.scale.f32(), *parameters.shift.f32()};
    if (affine == affine_) return;
    const int64_t planned = workspace_bytes_;
    make_forward(affine);  // oneDNN bakes the two numbers into the code
    KINDRED_ASSERT(workspace_bytes_ == planned);
  }

  void backward_pointwise(Stream& stream, const Io& io, const Grads& grads) {
    const int64_t pixels = x_.rows(), in = x_[3], out = op_.outputs;
    const T* dy = grads.output.data<T>();
    gemm(stream, Transpose::yes, Transpose::no, out, in, pixels, 1, dy, out, io.inputs[0].data<T>(), in, 1,
         grads.parameters[0].f32(), in);
    if (!grads.inputs[0]) return;
    gemm(stream, Transpose::no, Transpose::no, pixels, in, out, 1, dy, out,
         stored_.get(stream, io.parameters[0], packed_version_), in, grads.accumulate[0] != 0 ? 1.0f : 0.0f,
         grads.inputs[0].data<T>(), in);
  }

  void backward_data(Stream& stream, const Io& io, const Grads& grads) {
    const bool accumulate = grads.accumulate[0] != 0, direct = !accumulate && !emulated_;
    void* const target = direct ? grads.inputs[0].raw() : behind_staged(io);
    const void* const dy = staged_in(stream, grads.output, staged(io, 0));
    data_.run(dnnl_stream(stream), {{DNNL_ARG_DIFF_SRC, target},
                                    {DNNL_ARG_WEIGHTS, packed_for_data_.data()},
                                    {DNNL_ARG_DIFF_DST, dy},
                                    {DNNL_ARG_SCRATCHPAD, io.scratch.raw()}});
    if (direct) return;
    if (emulated_) return write(stream, grads.inputs[0], static_cast<const float*>(target), accumulate);
    write(stream, grads.inputs[0], static_cast<const T*>(target), accumulate);
  }

  void backward_weights(Stream& stream, const Io& io, const Grads& grads) {
    void* const packed = behind_staged(io);
    weights_.run(dnnl_stream(stream),
                 {{DNNL_ARG_SRC, staged_in(stream, io.inputs[0], staged(io, 0))},
                  {DNNL_ARG_DIFF_DST, staged_in(stream, grads.output, staged(io, x_.elements()))},
                  {DNNL_ARG_DIFF_WEIGHTS, packed},
                  {DNNL_ARG_SCRATCHPAD, io.scratch.raw()}});
    add_weights_.run(dnnl_stream(stream), {{DNNL_ARG_FROM, packed},
                                           {DNNL_ARG_TO, grads.parameters[0].raw()},
                                           {DNNL_ARG_SCRATCHPAD, io.scratch.raw()}});
  }

  /// The scratch is [workspace | staged | gradient]. Element `at` of the staged part; null where there is
  /// none.
  float* staged(const Io& io, int64_t at) const {
    if (!emulated_) return nullptr;
    return static_cast<float*>(static_cast<void*>(io.scratch.data<uint8_t>() + workspace_bytes_)) + at;
  }
  void* behind_staged(const Io& io) const {
    return io.scratch.data<uint8_t>() + workspace_bytes_ + staged_bytes();
  }

  /// What a primitive reads for `tensor`: itself, or a wide copy at `memory`.
  const void* staged_in(Stream& stream, const Tensor& tensor, float* memory) const {
    if (!emulated_) return tensor.raw();
    const T* const from = tensor.data<T>();
    write_each(stream, tensor.elements(), memory, false, [=](int64_t i) { return from[i]; });
    return memory;
  }
  template <class From>
  static void write(Stream& stream, const Tensor& to, const From* from, bool accumulate) {
    write_each(stream, to.elements(), to.data<T>(), accumulate, [=](int64_t i) { return from[i]; });
  }
  static void round(std::vector<float>& values) {
    for (float& value : values) value = BFloat16(value);
  }

  const Conv2d op_;
  const Shape x_, y_;
  const bool training_;
  const bool emulated_;  // bf16 by fp32 primitives
  const DataType type_;  // of the images and packed weights that primitives see
  const dnnl::engine engine_;
  StoredWeights<T> stored_;  // for the products of a pointwise backward
  bool has_shift_ = false;
  int residual_arg_ = -1;
  Affine affine_{};
  onednn::ForwardDesc forward_desc_;
  Call forward_, data_, weights_, add_weights_;
  PackedWeights packed_, packed_for_data_;
  Tensor shift_;  // inference: bias and batch norm, folded
  int64_t packed_version_ = -1;
  int64_t workspace_bytes_ = 0, weights_gradient_bytes_ = 0;
};

KINDRED_KERNEL(cpu, "conv2d", Conv2d, Conv2dCpu);

}  // namespace
}  // namespace kindred
