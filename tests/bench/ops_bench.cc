// Speed of the ops on shapes of PP-HGNetV2 and PP-LCNet, as shares of what the machine can do: convolutions
// and linear layers of a large matrix product's GFLOP/s, everything else of a copy's GB/s. Reference and op
// take turns in one run and each counts with its best time, because machines are shared.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "common/engine/gemm.h"
#include "common/ops/add.h"
#include "common/ops/batch_norm.h"
#include "common/ops/channel_gate.h"
#include "common/ops/concat.h"
#include "common/ops/conv2d.h"
#include "common/ops/depthwise_conv2d.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/linear.h"
#include "common/ops/max_pool.h"

namespace kindred {
namespace {

constexpr int kTurns = 12;

template <class F>
double seconds(F f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct OpRow {
  std::string name;
  std::shared_ptr<const Op> op;
  std::vector<Shape> inputs;
  std::vector<Shape> parameters;  // the last two of a batch norm's first four are buffers
  std::string kernel = "";        // another than the op's own
};

/// A kernel with random tensors around it.
class KernelRun {
 public:
  KernelRun(const OpRow& row, bool training)
      : stream_(make_stream({})), communicator_(make_self_communicator()) {
    const Shape output = row.op->output_shape(row.inputs);
    const std::string type = row.kernel.empty() ? std::string(row.op->type()) : row.kernel;
    kernel_ = kernel_registry()
                  .get("cpu/" + type)
                  .make({*row.op, row.inputs, output, row.parameters, training, *stream_, *communicator_});
    for (const Shape& shape : row.inputs)
      inputs_.push_back(random(shape)), gradients_.push_back(random(shape));
    for (const Shape& shape : row.parameters) {
      parameters_.push_back(random(shape));
      parameter_gradients_.push_back(random(shape));
    }
    accumulate_.assign(row.inputs.size(), 0);
    io_.inputs = inputs_;
    io_.parameters = parameters_;
    io_.output = make_tensor(*stream_, output);
    io_.state = make_tensor(*stream_, {std::max<int64_t>(1, kernel_->state_bytes())}, DType::u8);
    io_.scratch = make_tensor(*stream_, {std::max<int64_t>(1, kernel_->scratch_bytes())}, DType::u8);
    io_.step = &step_;
    grads_ = {random(output), gradients_, accumulate_, parameter_gradients_};
    forward();
  }

  void forward() { kernel_->forward(*stream_, io_); }
  void backward() { kernel_->backward(*stream_, io_, grads_); }

 private:
  Tensor random(const Shape& shape) {
    Tensor tensor = make_tensor(*stream_, shape);
    Random draws(1, {static_cast<uint64_t>(shape.elements()), 0, 0});
    for (int64_t i = 0; i < shape.elements(); ++i)
      tensor.f32()[i] = static_cast<float>(draws.uniform(0.1, 1));
    return tensor;
  }

  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Kernel> kernel_;
  std::vector<Tensor> inputs_, gradients_, parameters_, parameter_gradients_;
  std::vector<uint8_t> accumulate_;
  StepInfo step_;
  Io io_;
  Grads grads_;
};

/// What the op is compared with: a product of 768 x 768 matrices, or a copy too large for the caches.
class Reference {
 public:
  Reference() : stream_(make_stream({})) {}
  double gemm_flops_per_s() {
    constexpr int64_t n = 768;
    static const Tensor a = make_tensor(*stream_, {n, n}), b = make_tensor(*stream_, {n, n}),
                        c = make_tensor(*stream_, {n, n});
    return 2.0 * n * n * n / seconds([&] {
             gemm(*stream_, Transpose::no, Transpose::no, n, n, n, 1, a.f32(), n, b.f32(), n, 0, c.f32(), n);
           });
  }
  double copy_bytes_per_s() {
    static const Tensor from = make_tensor(*stream_, {16 << 20}), to = make_tensor(*stream_, {16 << 20});
    return 2.0 * static_cast<double>(from.bytes()) / seconds([&] { stream_->copy(to, from); });
  }

 private:
  std::unique_ptr<Stream> stream_;
};

enum class Pass { infer, forward, backward };

void run_row(benchmark::State& state, const OpRow& row, Pass pass) {
  KernelRun run(row, pass != Pass::infer);
  Reference reference;
  const double work = 2.0 * static_cast<double>(row.op->macs(row.inputs)) * (pass == Pass::backward ? 2 : 1);
  double elements = static_cast<double>(row.op->output_shape(row.inputs).elements());
  for (const Shape& shape : row.inputs) elements += static_cast<double>(shape.elements());
  double best = 1e9, fastest = 0;
  for (auto unused : state) {
    for (int turn = 0; turn < kTurns; ++turn) {
      fastest = std::max(fastest, work > 0 ? reference.gemm_flops_per_s() : reference.copy_bytes_per_s());
      best = std::min(best, seconds([&] { pass == Pass::backward ? run.backward() : run.forward(); }));
    }
    state.SetIterationTime(best);
  }
  if (work > 0) {
    state.counters["GFLOP/s"] = work / best * 1e-9;
    state.counters["of_gemm"] = work / best / fastest;
  }
  if (work == 0 || row.op->type() == "depthwise_conv2d") {  // every tensor once each way it has to go
    const double bytes =
        elements * sizeof(float) * (pass == Pass::backward && row.inputs.size() == 1 ? 1.5 : 1);
    state.counters["GB/s"] = bytes / best * 1e-9;
    if (work == 0) state.counters["of_copy"] = bytes / best / fastest;
  }
}

OpRow conv_row(int64_t size, int64_t in, int64_t out, int kernel, int stride = 1, int64_t batch = 16) {
  auto op = std::make_shared<Conv2d>();
  op->outputs = out;
  op->window = Window::same(kernel, stride);
  return {concat("conv2d/", kernel, "x", kernel, "s", stride, "/", in, "->", out, "@", size),
          op,
          {{batch, size, size, in}},
          {{out, kernel, kernel, in}}};
}

OpRow depthwise_row(int64_t size, int64_t channels, int kernel, int stride, std::string type = "") {
  auto op = std::make_shared<DepthwiseConv2d>();
  op->window = Window::same(kernel, stride);
  return {concat(type.empty() ? "depthwise_conv2d" : type, "/", kernel, "x", kernel, "s", stride, "/",
                 channels, "@", size),
          op,
          {{16, size, size, channels}},
          {{kernel, kernel, channels}},
          std::move(type)};
}

OpRow batch_norm_row(int64_t size, int64_t channels, const Epilogue& epilogue) {
  auto op = std::make_shared<BatchNorm>();
  op->epilogue = epilogue;
  const Shape x{16, size, size, channels}, c{channels};
  OpRow row{concat("batch_norm/", epilogue.text(), "/", channels, "@", size), op, {x}, {c, c, c, c}};
  if (epilogue.residual) row.inputs.push_back(x);
  if (epilogue.affine) row.parameters.insert(row.parameters.end(), {{1}, {1}});
  return row;
}

std::vector<OpRow> rows() {
  auto linear = std::make_shared<Linear>();
  linear->outputs = 1000;
  auto pool = std::make_shared<MaxPool>();
  pool->window = Window::same(2);
  return {
      conv_row(112, 3, 32, 3, 2),
      conv_row(56, 64, 64, 3),
      conv_row(28, 64, 64, 3),
      conv_row(56, 48, 48, 3),
      conv_row(56, 64, 32, 1),
      conv_row(28, 192, 256, 1),
      conv_row(14, 512, 256, 1),
      conv_row(7, 1024, 512, 1),
      conv_row(14, 336, 128, 1),
      depthwise_row(112, 32, 3, 1),
      depthwise_row(56, 64, 3, 2),
      depthwise_row(28, 128, 3, 1),
      depthwise_row(14, 192, 5, 1),
      depthwise_row(14, 256, 5, 1),
      depthwise_row(14, 256, 5, 2),
      depthwise_row(7, 512, 5, 1),
      depthwise_row(14, 192, 5, 1, "depthwise_conv2d_plain"),
      batch_norm_row(112, 16, {Activation::relu, true}),
      batch_norm_row(56, 64, {Activation::relu}),
      batch_norm_row(28, 256, {Activation::hardswish}),
      batch_norm_row(14, 512, {Activation::relu, false, true}),
      batch_norm_row(112, 32, {}),
      {"add/64@56", std::make_shared<Add>(2), {{16, 56, 56, 64}, {16, 56, 56, 64}}, {}},
      {"concat/64+16+16+16@56",
       std::make_shared<Concat>(),
       {{16, 56, 56, 64}, {16, 56, 56, 16}, {16, 56, 56, 16}, {16, 56, 56, 16}},
       {}},
      {"channel_gate/512@14", std::make_shared<ChannelGate>(), {{16, 14, 14, 512}, {16, 512}}, {}},
      {"global_average_pool/1024@7", std::make_shared<GlobalAveragePool>(false), {{64, 7, 7, 1024}}, {}},
      {"max_pool/2x2/32@112", pool, {{16, 112, 112, 32}}, {}},
      {"activation/relu/64@56", std::make_shared<ActivationOp>(Activation::relu), {{16, 56, 56, 64}}, {}},
      {"activation/gelu/384@14", std::make_shared<ActivationOp>(Activation::gelu), {{16, 14, 14, 384}}, {}},
      {"linear/2048->1000", linear, {{64, 2048}}, {{1000, 2048}, {1000}}},
  };
}

void register_rows() {
  for (const OpRow& row : rows()) {
    const auto add = [&row](const char* name, Pass pass) {
      benchmark::RegisterBenchmark((row.name + "/" + name).c_str(),
                                   [row, pass](benchmark::State& state) { run_row(state, row, pass); })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    };
    add("infer", Pass::infer);
    add("forward", Pass::forward);
    add("backward", Pass::backward);
  }
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  kindred::register_rows();
  benchmark::RunSpecifiedBenchmarks();
}
