// Source: cuDNN 9 documentation, "Graph API", "Convolution"; heuristics and notes: "Backend Descriptor
// Types". cuDNN wants dimensions as N, C, H, W whatever lies next to what; strides say that it is NHWC
// (weights OHWI).
#include "common/engine/cuda/convolution_plan.h"

#include <algorithm>
#include <array>

#include "common/engine/cuda/device_properties.h"

namespace kindred::cudnn {
namespace {

cudnnDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CUDNN_DATA_FLOAT;
    case DType::f16:
      return CUDNN_DATA_HALF;
    case DType::bf16:
      return CUDNN_DATA_BFLOAT16;
    default:
      fail("cudnn: convolutions are in f32, f16 or bf16, not in ", dtype_text(dtype));
  }
}

using Numbers = std::array<int64_t, 4>;
using Pair = std::array<int64_t, 2>;
template <size_t n>
std::span<const int64_t> all(const std::array<int64_t, n>& values) {
  return values;
}

/// rows x height x width x channels, dense in this order, as cuDNN's N, C, H, W.
Descriptor tensor(TensorId id, DType dtype, int64_t rows, int64_t height, int64_t width, int64_t channels) {
  const Numbers dims{rows, channels, height, width};
  const Numbers strides{height * width * channels, 1, width * channels, channels};
  Descriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(dtype))
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, all(dims))
      .set(CUDNN_ATTR_TENSOR_STRIDES, all(strides))
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, int64_t{id})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kTensorAlignment)
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false)
      .finalize("tensor");
  return descriptor;
}

Descriptor window(const Convolution& c) {
  Descriptor descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, all(Pair{c.top, c.left}))
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, all(Pair{c.bottom, c.right}))
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, all(Pair{c.stride_h, c.stride_w}))
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, all(Pair{1, 1}))
      .finalize("convolution");
  return descriptor;
}

/// The attributes of the three passes, which differ in name only.
struct PassNames {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t window, images, weights, outputs, alpha, beta;
};
PassNames names(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvolutionPass::backward_data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvolutionPass::backward_weights:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  }
  fail("cudnn: unknown pass");
}

/// Groups are implied: images have `groups` times the weights' channels.
Descriptor operation_of(const Convolution& c) {
  const PassNames name = names(c.pass);
  Descriptor operation(name.operation);
  operation.set(name.window, window(c))
      .set(name.images, tensor(kImages, c.dtype, c.images[0], c.images[1], c.images[2], c.images[3]))
      .set(name.weights,
           tensor(kWeights, c.dtype, c.outputs[3], c.kernel_h, c.kernel_w, c.images[3] / c.groups))
      .set(name.outputs, tensor(kOutputs, c.dtype, c.outputs[0], c.outputs[1], c.outputs[2], c.outputs[3]))
      .set(name.alpha, 1.0f)
      .set(name.beta, 0.0f)
      .finalize(pass_text(c.pass));
  return operation;
}

/// A graph of one operation.
Descriptor operation_graph(const Convolution& c) {
  try {
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation_of(c)).finalize("graph");
    return graph;
  } catch (const Error& error) {
    fail(c, ": ", error.what());
  }
}

constexpr std::array<const char*, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> kNoteTexts{
    "tensor_core",  "down_convert_inputs", "reduced_precision_sums",
    "fft",          "nondeterministic",    "winograd",
    "winograd_4x4", "winograd_6x6",        "winograd_13x13",
    "strict_nan"};

/// What an engine says of itself.
struct Engine {
  int64_t index = -1;
  std::vector<cudnnBackendNumericalNote_t> notes;
  bool compiles_at_run_time = false;

  bool has(cudnnBackendNumericalNote_t note) const {
    return std::find(notes.begin(), notes.end(), note) != notes.end();
  }
};

Engine read_engine(const Descriptor& config) {
  Descriptor descriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  config.fill(CUDNN_ATTR_ENGINECFG_ENGINE, {&descriptor, 1});
  Engine engine;
  engine.index = descriptor.get_one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  engine.notes = descriptor.get_all<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  for (const auto note : descriptor.get_all<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                        CUDNN_BEHAVIOR_NOTE_TYPE_COUNT)) {
    if (note == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) engine.compiles_at_run_time = true;
  }
  return engine;
}

/// Why candidates were passed over, for the message when none is left.
struct Dropped {
  int offered = 0, nondeterministic = 0, inexact = 0, compiled = 0, unsupported = 0, too_large = 0;
  int64_t least_workspace = -1;
  std::string last_refusal;

  std::string text(const PlanRules& rules) const {
    if (offered == 0) return concat("it offers no engine (", last_refusal, ")");
    std::vector<std::string> reasons;
    const auto add = [&](int count, const std::string& reason) {
      if (count > 0) reasons.push_back(concat(count, " ", reason));
    };
    add(nondeterministic, "not deterministic");
    add(inexact, "of less precision than asked for");
    add(compiled, "compiled at run time");
    add(unsupported, concat("refused (", last_refusal, ")"));
    add(too_large, concat("above the workspace limit of ", bytes_text(rules.most_workspace_bytes),
                          " (the least is ", bytes_text(least_workspace), ")"));
    return concat("of ", offered, " engines ", join(reasons));
  }
};

/// Engines with their settings, in the order cuDNN would try them; none is no error.
std::vector<Descriptor> candidates(const Descriptor& graph, const Descriptor& device,
                                   cudnnBackendHeurMode_t mode, Dropped& dropped) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, mode)
      .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
  if (const cudnnStatus_t status = heuristics.try_finalize(); status != CUDNN_STATUS_SUCCESS) {
    dropped.last_refusal = error_text(status);
    return {};
  }
  const int64_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  std::vector<Descriptor> configs;
  for (int64_t i = 0; i < count; ++i) configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  const int64_t filled = heuristics.fill(CUDNN_ATTR_ENGINEHEUR_RESULTS, configs);
  while (static_cast<int64_t>(configs.size()) > filled) configs.pop_back();
  return configs;
}

/// Whether an engine keeps to the rules; counts it when not.
bool admitted(const Engine& engine, const Convolution& convolution, const PlanRules& rules,
              Dropped& dropped) {
  if (rules.deterministic && engine.has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)) {
    ++dropped.nondeterministic;
    return false;
  }
  const bool rounds_f32 =
      engine.has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || engine.has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
  if ((convolution.dtype == DType::f32 && !rules.tf32 && rounds_f32) ||
      engine.has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) {
    ++dropped.inexact;
    return false;
  }
  // They cost seconds each at every start, and without a driver they cannot be checked.
  if (engine.compiles_at_run_time) {
    ++dropped.compiled;
    return false;
  }
  return true;
}

}  // namespace

ConvolutionPlan choose_plan(const Convolution& convolution, const Descriptor& device,
                            std::string_view device_text, const PlanRules& rules) {
  const Descriptor graph = operation_graph(convolution);
  Dropped dropped;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const Descriptor& config : candidates(graph, device, mode, dropped)) {
      ++dropped.offered;
      const Engine engine = read_engine(config);
      if (!admitted(engine, convolution, rules, dropped)) continue;
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config)
          .set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
      if (const cudnnStatus_t status = plan.try_finalize(); status != CUDNN_STATUS_SUCCESS) {
        ++dropped.unsupported;
        dropped.last_refusal = error_text(status);
        continue;
      }
      const auto workspace = plan.get_one<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
      if (workspace > rules.most_workspace_bytes) {
        ++dropped.too_large;
        if (dropped.least_workspace < 0 || workspace < dropped.least_workspace)
          dropped.least_workspace = workspace;
        continue;
      }
      PlanFacts facts{engine.index, workspace, {}};
      for (const auto note : engine.notes) facts.notes.emplace_back(kNoteTexts[static_cast<size_t>(note)]);
      return {std::move(plan), std::move(facts)};
    }
  }
  fail("cudnn: no plan for ", convolution, " on ", device_text, ": ", dropped.text(rules));
}

}  // namespace kindred::cudnn

namespace kindred {

bool plans_available() { return true; }

std::string plans_library() {
  const size_t version = cudnnGetVersion();
  return concat("cuDNN ", version / 10000, ".", version / 100 % 100, ".", version % 100);
}

namespace {

std::vector<PlanFacts> plan_all(std::span<const Convolution> convolutions,
                                const cudnn::Descriptor& properties, const std::string& device,
                                const PlanRules& rules) {
  std::vector<PlanFacts> plans;
  for (const Convolution& convolution : convolutions)
    plans.push_back(cudnn::choose_plan(convolution, properties, device, rules).facts);
  return plans;
}

}  // namespace

std::vector<PlanFacts> plan_convolutions(std::span<const Convolution> convolutions,
                                         const DeviceDescription& device, const PlanRules& rules) {
  constexpr int kLeastForBf16 = 80;
  const bool bf16 = std::any_of(convolutions.begin(), convolutions.end(),
                                [](const Convolution& each) { return each.dtype == DType::bf16; });
  if (bf16 && device.compute_capability < kLeastForBf16)
    fail(device, " has no bf16 arithmetic, which needs compute capability 8.0 (Ampere); choose f16 or f32");
  return plan_all(convolutions, cudnn::device_properties(device), device.text(), rules);
}

std::vector<PlanFacts> plan_convolutions(std::span<const Convolution> convolutions, Device device,
                                         const PlanRules& rules) {
  if (device.type != Device::cuda) fail("cuDNN plans for device 'cuda', not for '", device, "'");
  return plan_all(convolutions, cudnn::device_properties(device.index), device.text(), rules);
}

}  // namespace kindred
