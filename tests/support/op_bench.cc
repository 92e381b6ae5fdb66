#include "tests/support/op_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "common/base/hash.h"

namespace kindred::test {
namespace {

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();  // what nobody may read
constexpr float kBefore = 0.75f;                                    // what += finds; exact in fp32
constexpr uint8_t kPoisonByte = 0xff;                               // two or four of them are a NaN
constexpr int64_t kGuard = 256;

std::string_view device_name(Device device) { return device.type == Device::cpu ? "cpu" : "cuda"; }

}  // namespace

/// Memory between two guards of poison bytes.
class OpBench::Guarded {
 public:
  Guarded(Stream& stream, const Shape& shape, DType dtype)
      : stream_(stream),
        memory_(make_tensor(stream, {2 * kGuard + shape.elements() * dtype_bytes(dtype)}, DType::u8)) {
    const std::vector<uint8_t> bytes(static_cast<size_t>(memory_.bytes()), kPoisonByte);
    stream.copy(memory_.raw(), bytes.data(), memory_.bytes());
    stream.wait();
    tensor = Tensor::view(memory_.data<uint8_t>() + kGuard, shape, dtype, stream.device());
  }

  bool holds() const {
    std::vector<uint8_t> bytes(static_cast<size_t>(memory_.bytes()));
    stream_.copy(bytes.data(), memory_.raw(), memory_.bytes());
    stream_.wait();
    const auto poison = [](uint8_t byte) { return byte == kPoisonByte; };
    return std::all_of(bytes.begin(), bytes.begin() + kGuard, poison) &&
           std::all_of(bytes.end() - kGuard, bytes.end(), poison);
  }

  Tensor tensor;

 private:
  Stream& stream_;
  Tensor memory_;
};

double rounded(double value, DType dtype) {
  const auto narrow = static_cast<float>(value);
  return static_cast<double>(dtype == DType::bf16 ? static_cast<float>(BFloat16(narrow)) : narrow);
}

CaseValues::CaseValues(const OpCase& row, uint64_t seed, DType dtype) {
  uint64_t tensor = 0;
  const auto draw = [&](const Shape& shape, const Fill& rule) {
    Random random(seed, {fnv1a64(row.name), tensor++, 0});
    Array array(shape);
    for (int64_t i = 0; i < shape.elements(); ++i) array[i] = rounded(rule(i, random), dtype);
    return array;
  };
  for (const CaseInput& input : row.inputs) inputs.push_back(draw(input.shape, input.fill));
  for (const CaseParameter& parameter : row.parameters)
    parameters.push_back(draw(parameter.shape, parameter.fill));
}

OpBench::OpBench(const OpCase& row, Device device, DType dtype)
    : row_(row), dtype_(dtype), stream_(make_stream(device)), communicator_(make_self_communicator()) {
  std::vector<Shape> inputs, parameters;
  for (const CaseInput& input : row.inputs) inputs.push_back(input.shape);
  for (const CaseParameter& parameter : row.parameters) parameters.push_back(parameter.shape);
  output_shape_ = row.op->output_shape(inputs);
  const KernelSpec spec{*row.op,  inputs,         output_shape_, parameters, row.training,
                        *stream_, *communicator_, kCaseNodeKey,  dtype};
  kernel_ = kernel_registry().get(concat(device_name(device), "/", row.op->type())).make(spec);
  for (const Shape& shape : inputs) inputs_.push_back(make(shape, dtype_));
  for (const Shape& shape : parameters) parameters_.push_back(make(shape, DType::f32));
  io_.inputs = inputs_;
  io_.output = make(output_shape_, dtype_);
  io_.parameters = parameters_;
  io_.state = make({kernel_->state_bytes()}, DType::u8);
  io_.scratch = make({kernel_->scratch_bytes()}, DType::u8);
  io_.step = &kCaseStep;
}

OpBench::~OpBench() = default;

Array OpBench::forward(const CaseValues& values) {
  for (size_t i = 0; i < inputs_.size(); ++i) put(inputs_[i], values.inputs[i]);
  for (size_t i = 0; i < parameters_.size(); ++i) put(parameters_[i], values.parameters[i]);
  fill(io_.output, kPoison);
  poison(io_.scratch);
  ++io_.parameter_version;
  kernel_->forward(*stream_, io_);
  return get(io_.output);
}

CaseGradients OpBench::backward(const Array& output_gradient, const std::vector<uint8_t>& wanted,
                                const std::vector<uint8_t>& accumulate) {
  const Saved saved = row_.op->saved();
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!(saved.inputs >> i & 1)) fill(inputs_[i], kPoison);
  }
  if (!saved.output) fill(io_.output, kPoison);
  poison(io_.scratch);
  const Tensor d_output = make(output_shape_, dtype_);
  put(d_output, output_gradient);
  std::vector<Tensor> d_inputs(inputs_.size()), d_parameters(parameters_.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!wanted[i]) continue;
    d_inputs[i] = make(inputs_[i].shape(), dtype_);
    fill(d_inputs[i], accumulate[i] ? kBefore : kPoison);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!row_.parameters[i].trainable) continue;
    d_parameters[i] = make(parameters_[i].shape(), DType::f32);
    fill(d_parameters[i], kBefore);
  }
  kernel_->backward(*stream_, io_, {d_output, d_inputs, accumulate, d_parameters});
  EXPECT_EQ(get(d_output).values, output_gradient.values) << "backward wrote into the output's gradient";

  CaseGradients gradients;
  for (size_t i = 0; i < inputs_.size(); ++i) gradients.inputs.push_back(taken(d_inputs[i], accumulate[i]));
  for (const Tensor& gradient : d_parameters) gradients.parameters.push_back(taken(gradient, true));
  return gradients;
}

Array OpBench::input(size_t i) const { return get(inputs_[i]); }
Array OpBench::parameter(size_t i) const { return get(parameters_[i]); }

bool OpBench::guards_hold() const {
  return std::all_of(memory_.begin(), memory_.end(), [](const auto& guarded) { return guarded->holds(); });
}

Tensor OpBench::make(const Shape& shape, DType dtype) {
  memory_.push_back(std::make_unique<Guarded>(*stream_, shape, dtype));
  return memory_.back()->tensor;
}

void OpBench::put(const Tensor& to, const Array& from) {
  const std::vector<float> wide(from.values.begin(), from.values.end());
  const std::vector<BFloat16> narrow(wide.begin(), wide.end());
  const bool is_wide = to.dtype() == DType::f32;
  stream_->copy(to.raw(), is_wide ? static_cast<const void*>(wide.data()) : narrow.data(), to.bytes());
  stream_->wait();
}

void OpBench::fill(const Tensor& to, float value) {
  Array filled(to.shape());
  filled.values.assign(filled.values.size(), static_cast<double>(value));
  put(to, filled);
}

void OpBench::poison(const Tensor& bytes) {
  const std::vector<uint8_t> host(static_cast<size_t>(bytes.bytes()), kPoisonByte);
  stream_->copy(bytes.raw(), host.data(), bytes.bytes());
  stream_->wait();
}

Array OpBench::get(const Tensor& tensor) const {
  std::vector<float> wide(static_cast<size_t>(tensor.elements()));
  std::vector<BFloat16> narrow(wide.size());
  const bool is_wide = tensor.dtype() == DType::f32;
  stream_->copy(is_wide ? static_cast<void*>(wide.data()) : narrow.data(), tensor.raw(), tensor.bytes());
  stream_->wait();
  if (!is_wide) wide.assign(narrow.begin(), narrow.end());
  Array out(tensor.shape());
  std::copy(wide.begin(), wide.end(), out.values.begin());
  return out;
}

Array OpBench::taken(const Tensor& gradient, bool accumulated) const {
  if (!gradient) return {};
  Array out = get(gradient);
  for (double& value : out.values) value -= accumulated ? static_cast<double>(kBefore) : 0;
  return out;
}

}  // namespace kindred::test
