#include "trainer/train/step_memory.h"

#include <algorithm>

#include "common/engine/planner.h"
#include "common/engine/precision.h"
#include "common/ops/window_attention.h"
#include "trainer/losses/loss.h"
#include "trainer/optim/optimizer.h"

namespace kindred {
namespace {

constexpr int64_t kFloat = 4;

/// How many values an optimiser keeps for each that it trains: asked of one over a few values.
int slots_per_value(const TrainConfig& config, const Options& options) {
  constexpr int64_t kValues = 16;
  const auto stream = make_stream({});
  ParameterSet few;
  ParamInfo info;
  info.name = "few", info.file_shape = {kValues};
  few.add(info);
  few.freeze(*stream);
  const auto optimizer = optimizer_registry().get(config.optimizer).make.make(options, few, *stream);
  int64_t slots = 0;
  for (const auto& [name, tensor] : optimizer->slots()) slots += tensor.elements() / few.values().elements();
  return static_cast<int>(slots);
}

/// What a node keeps from forward to backward beside its value. Kernels of our own have one body for all
/// devices, so the CPU's are asked. Ops that multiply have others on a GPU: they keep nothing, but for
/// attention, which keeps its probabilities.
int64_t state_bytes(const Graph& graph, const Node& node, Stream& stream, Communicator& communicator) {
  std::vector<Shape> inputs, parameters;
  for (const Value input : node.inputs) inputs.push_back(graph.shape(input));
  for (const Param param : node.parameters) parameters.push_back(graph.parameters().info(param).shape);
  const int64_t macs = node.op->macs(inputs);
  if (const auto* attention = dynamic_cast<const WindowAttention*>(node.op.get())) {
    const int64_t depth = node.shape[3] / attention->heads;
    return macs / (2 * depth) * dtype_bytes(node.dtype);  // two products of `depth` make and read each
  }
  if (macs > 0) return 0;
  const auto& kernel = kernel_registry().get(concat("cpu/", node.op->type()));
  return kernel.make({*node.op, inputs, node.shape, parameters, true, stream, communicator, 0, node.dtype})
      ->state_bytes();
}

}  // namespace

StepMemory::StepMemory(const PlannedRun& run, int64_t rank_batch)
    : parameters_(0, run.ranks), graph_(parameters_), slots_(slots_per_value(run.config, run.options)) {
  KINDRED_ASSERT(rank_batch > 0 && rank_batch % run.config.accumulate == 0);
  auto losses = make_losses(run.config.losses, run.options);
  for (const auto& [loss, weight] : losses) {
    reads_raw_ = reads_raw_ || loss->reads_raw();
    if (!loss->teacher().empty()) left_out_.push_back("the teacher " + loss->teacher());
  }
  graph_ = build_model(parameters_, run.config.model, rank_batch / run.config.accumulate, reads_raw_);
  network_parameters_ = parameters_.count();
  for (const auto& [loss, weight] : losses)
    loss->declare(parameters_, run.config.model.embedding, run.classes);
  graph_.drop_unused();
  set_precision(graph_, run.config.precision);
  plan_parameters(run);
  plan_network(run);
  plan_losses(run, rank_batch);
  // Context and code of driver, cuDNN and cuBLAS, and NCCL's buffers: an assumption, not a measurement.
  add("driver, libraries, NCCL (assumed)", int64_t{3} << 29);
}

void StepMemory::add(std::string name, int64_t bytes) {
  if (bytes > 0) parts_.emplace_back(std::move(name), bytes);
}

int64_t StepMemory::total() const {
  int64_t sum = 0;
  for (const auto& [name, bytes] : parts_) sum += bytes;
  return sum;
}

void StepMemory::plan_parameters(const PlannedRun& run) {
  int64_t values = 0, buffers = 0, shared_out = 0;
  for (int i = 0; i < parameters_.count(); ++i) {
    const ParamInfo& info = parameters_.info({i});
    int64_t& kind = info.sharded ? shared_out : info.trainable ? values : buffers;
    kind += info.shape.elements();
  }
  trained_values_ = values;
  add("parameters and running statistics, fp32", (values + buffers + shared_out) * kFloat);
  if (run.config.precision != DType::f32) {
    add(concat("their copy in ", precision_text(run.config.precision)),
        values * dtype_bytes(run.config.precision));
  }
  add("gradients, fp32", values * kFloat);
  add(concat("optimizer (", run.config.optimizer, ", ", slots_, slots_ == 1 ? " slot)" : " slots)"),
      (values + shared_out) * slots_ * kFloat);
}

void StepMemory::plan_network(const PlannedRun& run) {
  const auto stream = make_stream({});
  const auto alone = make_self_communicator();
  std::vector<int64_t> states;
  for (const Node& node : graph_.nodes())
    states.push_back(node.op ? state_bytes(graph_, node, *stream, *alone) : 0);
  add("activations and their gradients (arena)", plan_memory(graph_, states, 0, true).arena_bytes);

  convolutions_ = network_convolutions(graph_, run.config.precision, true);
  if (run.device == nullptr || !plans_available()) return;
  std::vector<Convolution> problems;
  for (const NetworkConvolution& each : convolutions_) problems.push_back(each.convolution);
  plans_ = plan_convolutions(problems, *run.device, run.rules);
  int64_t workspace = 0, weights = 0;
  for (const PlanFacts& plan : plans_) workspace = std::max(workspace, plan.workspace_bytes);
  add("workspace of convolutions", workspace);
  if (run.config.precision == DType::f32) return;
  for (const Convolution& problem : problems) weights = std::max(weights, problem.weight_elements());
  // cuDNN gives the gradient of weights in the type of the images; a kernel of ours adds it to the fp32 one.
  add("largest gradient of weights, before it is added", weights * dtype_bytes(run.config.precision));
}

void StepMemory::plan_losses(const PlannedRun& run, int64_t rank_batch) {
  const int64_t rows = rank_batch * run.ranks, dim = run.config.model.embedding;
  const int64_t copies = reads_raw_ ? 4 : 2;  // embeddings and gradients, as unit rows and as they were
  add("embeddings of all ranks and their gradients", copies * rows * dim * kFloat);
  add("scores of pairs", std::min(run.config.tile_bytes, rank_batch * rows * kFloat));
  const BankSettings& bank = run.config.bank;
  const int64_t labels_and_ids = 2 * static_cast<int64_t>(sizeof(int64_t));
  add("memory bank", (bank.size + run.ranks - 1) / run.ranks * dim * kFloat + bank.size * labels_and_ids);

  score_products_ = static_cast<double>(rank_batch * rows) * static_cast<double>(dim);
  int64_t centres = 0, scores = 0;
  for (int i = network_parameters_; i < parameters_.count(); ++i) {
    const ParamInfo& info = parameters_.info({i});
    if (info.shape.rank() != 2 || info.shape[1] != dim) continue;
    const int64_t anchors = info.sharded ? rows : rank_batch;
    centres += info.shape.elements();
    scores += anchors * info.shape[0];
    score_products_ += static_cast<double>(anchors) * static_cast<double>(info.shape.elements());
  }
  add("scores of classes", scores * kFloat);
  add("class centres as unit rows and their gradients", 2 * centres * kFloat);
}

}  // namespace kindred
