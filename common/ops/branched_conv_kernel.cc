#include "common/engine/launch.h"
#include "common/ops/branched_conv.h"
#include "common/ops/conv_fold.h"

namespace kindred {
namespace {

/// Where a tap lies in a kernel's memory: [kh,kw,C] when depthwise, else [O,kh,kw,C/groups].
struct KernelLayout {
  bool depthwise;
  int64_t outputs, height, width, inputs;  // inputs: of each output

  KINDRED_DEV int64_t at(int64_t output, int64_t row, int64_t column, int64_t input) const {
    return depthwise ? (row * width + column) * outputs + output
                     : ((output * height + row) * width + column) * inputs + input;
  }
  int64_t elements() const { return outputs * height * width * inputs; }
  Shape shape() const {
    return depthwise ? Shape{height, width, outputs} : Shape{outputs, height, width, inputs};
  }
};

KernelLayout layout_of(const Shape& weight) {
  if (weight.rank() == 3) return {true, weight[2], weight[0], weight[1], 1};
  return {false, weight[0], weight[1], weight[2], weight[3]};
}

/// Runs the merged convolution by its own kernel, with weights made anew whenever the parameters have moved.
/// They are f32, as parameters are: only the convolution's kernel minds the type of storage.
template <class T>
class BranchedConvKernel final : public Kernel {
 public:
  BranchedConvKernel(const BranchedConv& op, const KernelSpec& spec)
      : branches_(op.branches), affine_(op.affine), layout_(layout_of(op.weight_shape(spec.inputs[0]))) {
    KINDRED_ASSERT(!spec.training);
    weight_ = make_tensor(spec.stream, layout_.shape());
    bias_ = make_tensor(spec.stream, {layout_.outputs});
    KernelSpec inner{*op.conv,      spec.inputs, spec.output,       {weight_.shape(), bias_.shape()},
                     spec.training, spec.stream, spec.communicator, spec.node_key,
                     spec.dtype};
    const size_t own = own_parameters();
    inner.parameters.insert(inner.parameters.end(), spec.parameters.begin() + static_cast<long>(own),
                            spec.parameters.end());
    const char* const device = spec.stream.device().type == Device::cpu ? "cpu/" : "cuda/";
    conv_ = kernel_registry().get(concat(device, op.conv->type())).make(inner);
  }

  int64_t scratch_bytes() const override { return conv_->scratch_bytes(); }
  int64_t state_bytes() const override { return conv_->state_bytes(); }

  void forward(Stream& stream, const Io& io) override {
    if (io.parameter_version != merged_version_) merge(stream, io);
    Io inner = io;
    inner.parameters = parameters_;
    conv_->forward(stream, inner);
  }

  void backward(Stream&, const Io&, const Grads&) override { KINDRED_ASSERT(false); }

  /// Sums the branches, first with = and then with +=.
  void merge(Stream& stream, const Io& io) {
    size_t next = 0;
    for (size_t b = 0; b < branches_.size(); ++b) {
      const ConvBranch& branch = branches_[b];
      ConvParameters tensors;
      if (!branch.identity) tensors.weight = io.parameters[next++];
      if (branch.bias) tensors.bias = io.parameters[next++];
      if (branch.batch_norm) {
        for (Tensor* tensor : {&tensors.gamma, &tensors.beta, &tensors.mean, &tensors.variance})
          *tensor = io.parameters[next++];
      }
      add_branch(stream, branch, tensors, b == 0);
    }
    if (affine_) {
      scale(stream, io.parameters[next].f32(), io.parameters[next + 1].f32());
      next += 2;
    }
    parameters_ = {weight_, bias_};
    parameters_.insert(parameters_.end(), io.parameters.begin() + static_cast<long>(next),
                       io.parameters.end());
    merged_version_ = io.parameter_version;
  }

  void add_branch(Stream& stream, const ConvBranch& branch, const ConvParameters& tensors, bool first) const {
    const ChannelFold fold(tensors, branch.eps);
    const KernelLayout whole = layout_;
    const KernelLayout part{whole.depthwise, whole.outputs, branch.kernel_h, branch.kernel_w, whole.inputs};
    const int64_t first_row = branch.first_row, first_column = branch.first_column;
    const float* const weight = branch.identity ? nullptr : tensors.weight.f32();
    float *const sum = weight_.f32(), *const bias = bias_.f32();
    launch_each(stream, whole.elements(), [=] KINDRED_DEV(int64_t i) {
      const int64_t input = i % whole.inputs, tap = i / whole.inputs % (whole.height * whole.width);
      const int64_t output = i / (whole.inputs * whole.height * whole.width);
      const int64_t row = tap / whole.width - first_row, column = tap % whole.width - first_column;
      const bool inside = row >= 0 && row < part.height && column >= 0 && column < part.width;
      float value = 0;
      if (inside && weight != nullptr) value = weight[part.at(output, row, column, input)];
      // Groups have as many outputs as inputs where there is an identity.
      if (inside && weight == nullptr) value = output % whole.inputs == input ? 1.0f : 0.0f;
      float* const place = sum + whole.at(output, row + first_row, column + first_column, input);
      *place = (first ? 0 : *place) + value * fold.scale(output);
    });
    launch_each(stream, whole.outputs, [=] KINDRED_DEV(int64_t output) {
      bias[output] = (first ? 0 : bias[output]) + fold.shift(output);
    });
  }

  void scale(Stream& stream, const float* factor, const float* shift) const {
    float *const weight = weight_.f32(), *const bias = bias_.f32();
    launch_each(stream, weight_.elements(), [=] KINDRED_DEV(int64_t i) { weight[i] *= *factor; });
    launch_each(stream, bias_.elements(),
                [=] KINDRED_DEV(int64_t i) { bias[i] = bias[i] * *factor + *shift; });
  }

 private:
  /// How many parameters the weights and the bias are made of: the rest is the tail's.
  size_t own_parameters() const {
    size_t count = affine_ ? 2 : 0;
    for (const ConvBranch& branch : branches_)
      count += (branch.identity ? 0u : 1u) + (branch.bias ? 1u : 0u) + (branch.batch_norm ? 4u : 0u);
    return count;
  }

  const std::vector<ConvBranch> branches_;
  const bool affine_;
  const KernelLayout layout_;
  Tensor weight_, bias_;
  std::vector<Tensor> parameters_;  // of the merged convolution
  std::unique_ptr<Kernel> conv_;
  int64_t merged_version_ = -1;
};

KINDRED_SINGLE_SOURCE_KERNEL("branched_conv", BranchedConv, BranchedConvKernel);

}  // namespace
}  // namespace kindred
