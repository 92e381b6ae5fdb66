// A graph made ready to run: kernels in order, one memory arena, nothing allocated inside a step.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/engine/graph.h"

namespace kindred {

struct CompileOptions {
  bool training = false;
  /// For statistics over all ranks (sync batch norm). Null: this rank alone.
  Communicator* communicator = nullptr;
  /// Inference only: fold batch norms into convolutions and fuse activations (engine/passes).
  bool fuse = true;
  /// f32 or bf16: how values and their gradients are stored between inputs and outputs, and how products are
  /// taken. Inputs, outputs, parameters, statistics and all sums are f32.
  DType compute = DType::f32;
};

/// What the planner decided.
struct PlanReport {
  int64_t arena_bytes = 0;          // with reuse: what is allocated
  int64_t bytes_without_reuse = 0;  // the sum of all buffers
  int64_t scratch_bytes = 0, state_bytes = 0, parameter_bytes = 0;
  int kernels = 0;
  std::string text() const;
};

/// The seconds one node took, forward and backward.
struct NodeTime {
  std::string name, op;
  double forward_s = 0, backward_s = 0;
};

class Program {
 public:
  /// Called during backward, each time with more: gradients()[0, final_elements) of the ParameterSet are
  /// final from now on. Parameters that the graph does not use (a loss's own) are final before the first
  /// node.
  using ReadyFn = std::function<void(int64_t final_elements)>;

  /// The parameters must be frozen. Throws Error "no cuda kernel for op 'windows' (node ...)" for missing
  /// kernels.
  Program(Graph graph, Stream& stream, CompileOptions options);
  ~Program();

  /// Throw Error on an unknown name. The memory stays where it is for the program's life.
  Tensor input(std::string_view name) const;
  Tensor output(std::string_view name) const;
  /// Where the caller writes dL/d(output) before backward. Training only. Backward uses it up and leaves
  /// zeros, so an output that the caller writes nothing for counts as zero.
  Tensor output_gradient(std::string_view name) const;

  void forward(const StepInfo& step = {});
  /// Adds into the ParameterSet's gradients: the caller zeroes them before a step. Once after every forward.
  void backward(const ReadyFn& ready = {});

  const Graph& graph() const;
  PlanReport plan() const;
  /// Runs forward (and backward when training) `repeats` times and says where the time went, as means of a
  /// run. Adds into gradients and moves running statistics, as a step does.
  std::vector<NodeTime> profile(int repeats);
  /// Name of the first node whose output holds a NaN or an infinity, or "". Reads what the last forward left:
  /// only outputs that were kept are looked at.
  std::string first_bad_node() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
