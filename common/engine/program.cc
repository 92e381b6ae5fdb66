#include "common/engine/program.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "common/base/hash.h"
#include "common/engine/passes/fuse.h"
#include "common/engine/planner.h"
#include "common/engine/precision.h"

namespace kindred {
namespace {

/// A node made ready to run: what its kernel is called with, fixed once. Spans look into the vectors beside
/// them.
struct Step {
  int node = -1;
  std::unique_ptr<Kernel> kernel;
  std::vector<Tensor> inputs, parameters, input_gradients, parameter_gradients;
  std::vector<uint8_t> accumulate;
  Io io;
  Grads grads;
  bool backward = false;       // its output has a gradient
  int64_t final_elements = 0;  // of the flat gradients, once its backward has run
};

std::unique_ptr<Kernel> make_kernel(const Graph& graph, int index, Stream& stream, Communicator& communicator,
                                    bool training) {
  const Node& node = graph.nodes()[static_cast<size_t>(index)];
  const std::string device = stream.device().type == Device::cpu ? "cpu" : "cuda";
  const std::string name = concat(device, "/", node.op->type());
  if (!kernel_registry().contains(name)) {
    fail("no ", device, " kernel for op '", node.op->type(), "' (node ", node.name, ")");
  }
  KernelSpec spec{*node.op, {}, node.shape, {}, training, stream, communicator, 0, node.dtype};
  for (const Value input : node.inputs) spec.inputs.push_back(graph.shape(input));
  for (const Param param : node.parameters) spec.parameters.push_back(graph.parameters().info(param).shape);
  spec.node_key = fnv1a64(concat(node.name, "#", index));  // names alone may repeat
  try {
    return kernel_registry().get(name).make(spec);
  } catch (const Error& error) {
    fail(node.name, ": ", error.what());
  }
}

Tensor find_tensor(const std::vector<std::pair<std::string, Tensor>>& tensors, std::string_view kind,
                   std::string_view name) {
  std::vector<std::string> names;
  for (const auto& [known, tensor] : tensors) {
    if (known == name) return tensor;
    names.push_back(known);
  }
  fail(unknown_name_text(kind, name, names));
}

template <class T>
bool any_not_finite(Stream& stream, const Tensor& tensor) {
  std::vector<T> host(static_cast<size_t>(tensor.elements()));
  stream.copy(host.data(), tensor.raw(), tensor.bytes());
  stream.wait();
  return std::any_of(host.begin(), host.end(), [](float value) { return !std::isfinite(value); });
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string PlanReport::text() const {
  return concat(kernels, " kernels; arena ", bytes_text(arena_bytes), ", without reuse ",
                bytes_text(bytes_without_reuse), " (scratch ", bytes_text(scratch_bytes), ", state ",
                bytes_text(state_bytes), "); parameters ", bytes_text(parameter_bytes));
}

struct Program::Impl {
  Impl(Graph g, Stream& s, const CompileOptions& options)
      : graph(std::move(g)),
        stream(s),
        training(options.training),
        self(make_self_communicator()),
        communicator(options.communicator ? *options.communicator : *self) {
    if (!parameters().frozen()) fail("the parameters must be frozen before a graph is compiled");
    graph.drop_unused();
    if (!training && options.fuse) fuse(graph);
    set_precision(graph, options.compute);
    make_kernels();
    plan_arena();
    for (Step& step : steps) bind(step);
    if (training) bind_gradients();
  }

  ParameterSet& parameters() const { return graph.parameters(); }
  const Node& node(int index) const { return graph.nodes()[static_cast<size_t>(index)]; }
  const NodeBuffers& buffers(int index) const { return plan.nodes[static_cast<size_t>(index)]; }

  void make_kernels() {
    std::vector<int64_t> state_bytes(graph.nodes().size());
    for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i) {
      if (!node(i).op) continue;
      Step step;
      step.node = i;
      step.kernel = make_kernel(graph, i, stream, communicator, training);
      state_bytes[static_cast<size_t>(i)] = step.kernel->state_bytes();
      report.scratch_bytes = std::max(report.scratch_bytes, step.kernel->scratch_bytes());
      report.state_bytes += step.kernel->state_bytes();
      steps.push_back(std::move(step));
    }
    plan = plan_memory(graph, state_bytes, report.scratch_bytes, training);
  }

  void plan_arena() {
    arena = stream.allocate(plan.arena_bytes);
    report.arena_bytes = plan.arena_bytes;
    report.bytes_without_reuse = plan.bytes_without_reuse();
    report.parameter_bytes = parameters().values().bytes() + parameters().buffers().bytes();
    report.kernels = static_cast<int>(steps.size());
    for (const auto& [name, value] : graph.inputs()) inputs.emplace_back(name, value_tensor(value.id));
    for (const auto& [name, value] : graph.outputs()) {
      outputs.emplace_back(name, value_tensor(value.id));
      if (training) output_gradients.emplace_back(name, gradient_tensor(value.id));
    }
  }

  /// Part of the arena as a tensor that keeps the arena alive; empty for index -1.
  Tensor buffer_tensor(int index, const Shape& shape, DType dtype) const {
    if (index < 0) return {};
    std::byte* const data = arena.get() + plan.buffers[static_cast<size_t>(index)].offset;
    return Tensor::adopt(std::shared_ptr<std::byte>(arena, data), shape, dtype, stream.device());
  }
  Tensor bytes_tensor(int index, int64_t bytes) const { return buffer_tensor(index, {bytes}, DType::u8); }
  Tensor value_tensor(int index) const {
    return buffer_tensor(buffers(index).value, node(index).shape, node(index).dtype);
  }
  Tensor gradient_tensor(int index) const {
    return buffer_tensor(buffers(index).gradient, node(index).shape, node(index).dtype);
  }

  void bind(Step& step) {
    const Node& n = node(step.node);
    for (const Value input : n.inputs) step.inputs.push_back(value_tensor(input.id));
    for (const Param param : n.parameters) step.parameters.push_back(parameters().value(param));
    step.io.inputs = step.inputs;
    step.io.output = value_tensor(step.node);
    step.io.parameters = step.parameters;
    step.io.state = bytes_tensor(buffers(step.node).state, step.kernel->state_bytes());
    step.io.scratch = bytes_tensor(plan.scratch, step.kernel->scratch_bytes());
  }

  /// Walks backward: the first who writes a gradient writes with =, the others add. Gradients of outputs hold
  /// what the caller wrote, so everybody adds to them.
  void bind_gradients() {
    std::vector<uint8_t> written(graph.nodes().size());
    for (const auto& [name, value] : graph.outputs()) written[static_cast<size_t>(value.id)] = 1;
    std::vector<int> last_use(static_cast<size_t>(parameters().count()),
                              -1);  // in backward: the first in forward
    for (int s = static_cast<int>(steps.size()) - 1; s >= 0; --s) {
      Step& step = steps[static_cast<size_t>(s)];
      step.backward = plan.differentiable[static_cast<size_t>(step.node)];
      if (!step.backward) continue;
      for (const Value input : node(step.node).inputs) {
        const bool wanted = plan.differentiable[static_cast<size_t>(input.id)];
        step.input_gradients.push_back(wanted ? gradient_tensor(input.id) : Tensor());
        step.accumulate.push_back(written[static_cast<size_t>(input.id)]);
        written[static_cast<size_t>(input.id)] = 1;
      }
      for (const Param param : node(step.node).parameters) {
        step.parameter_gradients.push_back(parameters().gradient(param));
        last_use[static_cast<size_t>(param.id)] = s;
      }
      step.grads = {gradient_tensor(step.node), step.input_gradients, step.accumulate,
                    step.parameter_gradients};
    }
    find_final_elements(last_use);
  }

  /// After the backward of step s, the gradients before the first parameter that an earlier step still adds
  /// to are final. Parameters that no step uses (a loss's own) are final from the start.
  void find_final_elements(const std::vector<int>& last_use) {
    const int64_t all = parameters().gradients().elements();
    std::vector<int64_t> first_used_in(steps.size(), all);  // by step: lowest offset whose last use is there
    for (int p = 0; p < parameters().count(); ++p) {
      const int use = last_use[static_cast<size_t>(p)];
      if (use < 0 || !parameters().info({p}).trainable) continue;
      int64_t& first = first_used_in[static_cast<size_t>(use)];
      first = std::min(first, parameters().info({p}).offset);
    }
    int64_t open = all;  // lowest offset that steps before this one add to
    for (size_t s = 0; s < steps.size(); ++s) {
      steps[s].final_elements = open;
      open = std::min(open, first_used_in[s]);
    }
    final_at_start = open;
  }

  void forward(Step& step, const StepInfo& info) {
    step.io.step = &info;
    step.io.parameter_version = parameters().version();
    step.kernel->forward(stream, step.io);
  }

  void backward(Step& step) {
    step.io.step = &last_info;
    step.kernel->backward(stream, step.io, step.grads);
  }

  void clear_output_gradients() {
    for (const auto& [name, gradient] : output_gradients) stream.zero(gradient);
  }

  Graph graph;
  Stream& stream;
  const bool training;
  std::unique_ptr<Communicator> self;
  Communicator& communicator;
  PlanReport report;
  MemoryPlan plan;
  std::shared_ptr<std::byte> arena;
  std::vector<Step> steps;
  std::vector<std::pair<std::string, Tensor>> inputs, outputs, output_gradients;
  int64_t final_at_start = 0;
  StepInfo last_info;
  int steps_run = 0;  // of the plan: what first_bad_node may still look at
};

Program::Program(Graph graph, Stream& stream, CompileOptions options)
    : impl_(std::make_unique<Impl>(std::move(graph), stream, options)) {}
Program::~Program() = default;

Tensor Program::input(std::string_view name) const { return find_tensor(impl_->inputs, "input", name); }
Tensor Program::output(std::string_view name) const { return find_tensor(impl_->outputs, "output", name); }
Tensor Program::output_gradient(std::string_view name) const {
  KINDRED_ASSERT(impl_->training);
  return find_tensor(impl_->output_gradients, "output", name);
}

const Graph& Program::graph() const { return impl_->graph; }
PlanReport Program::plan() const { return impl_->report; }

void Program::forward(const StepInfo& info) {
  Impl& p = *impl_;
  p.last_info = info;
  for (Step& step : p.steps) p.forward(step, p.last_info);
  p.steps_run = static_cast<int>(p.graph.nodes().size());
}

void Program::backward(const ReadyFn& ready) {
  Impl& p = *impl_;
  KINDRED_ASSERT(p.training && p.steps_run == static_cast<int>(p.graph.nodes().size()));
  int64_t told = 0;
  const auto tell = [&](int64_t final_elements) {
    if (ready && final_elements > told) ready(told = final_elements);
  };
  tell(p.final_at_start);
  for (auto step = p.steps.rbegin(); step != p.steps.rend(); ++step) {
    if (!step->backward) continue;
    p.backward(*step);
    tell(step->final_elements);
  }
  p.clear_output_gradients();
  p.steps_run = 2 * static_cast<int>(p.graph.nodes().size());
}

std::vector<NodeTime> Program::profile(int repeats) {
  Impl& p = *impl_;
  std::vector<NodeTime> times;
  for (const Step& step : p.steps)
    times.push_back({p.node(step.node).name, std::string(p.node(step.node).op->type())});
  const auto timed = [&](auto&& work, double& total) {
    const auto start = std::chrono::steady_clock::now();
    work();
    p.stream.wait();
    total += seconds_since(start) / repeats;
  };
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (size_t s = 0; s < p.steps.size(); ++s) {
      timed([&] { p.forward(p.steps[s], p.last_info); }, times[s].forward_s);
    }
    for (size_t s = p.steps.size(); s-- > 0;) {
      if (p.steps[s].backward) timed([&] { p.backward(p.steps[s]); }, times[s].backward_s);
    }
  }
  if (p.training) p.clear_output_gradients();
  p.steps_run =
      p.training ? 2 * static_cast<int>(p.graph.nodes().size()) : static_cast<int>(p.graph.nodes().size());
  return times;
}

std::string Program::first_bad_node() const {
  const Impl& p = *impl_;
  for (int i = 0; p.steps_run > 0 && i < static_cast<int>(p.graph.nodes().size()); ++i) {
    if (!p.plan.intact(i, p.steps_run - 1)) continue;
    const Tensor value = p.value_tensor(i);
    const bool bad = value.dtype() == DType::bf16 ? any_not_finite<BFloat16>(p.stream, value)
                                                  : any_not_finite<float>(p.stream, value);
    if (bad) return p.node(i).name;
  }
  return "";
}

}  // namespace kindred
