// Memory planning: which buffers live when, and where each lies in one arena.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/engine/graph.h"

namespace kindred {

/// A buffer that holds something in the steps [first, last]; the planner finds its offset.
struct Buffer {
  int64_t bytes = 0;
  int first = 0, last = 0;
  int64_t offset = -1;
};

constexpr int64_t kArenaAlignment = 256;

/// Sets offsets so that buffers whose steps overlap never overlap in memory. Greedy: the largest first, each
/// into the smallest gap that holds it. Returns the arena's bytes.
int64_t place_buffers(std::span<Buffer> buffers);

/// Which of a plan's buffers a node owns; -1: none.
struct NodeBuffers {
  int value = -1, gradient = -1, state = -1;
};

/// Everything a program keeps in its arena. With n nodes, node i runs forward in step i and backward in
/// 2n-1-i.
struct MemoryPlan {
  std::vector<Buffer> buffers;
  std::vector<NodeBuffers> nodes;
  std::vector<uint8_t> differentiable;  // node i: its output has a gradient
  int scratch = -1;                     // shared by all kernels
  int64_t arena_bytes = 0;

  int64_t bytes_without_reuse() const;
  /// True when what was written into a node's value is still there at the end of `step`.
  bool intact(int node, int step) const;
};

/// Node i: whether its output has a gradient, because a trainable parameter lies in or before it and an
/// output at or behind it.
std::vector<uint8_t> find_differentiable(const Graph& graph);

/// Plans a graph whose node i needs state_bytes[i] from forward to backward; `scratch_bytes` is the most that
/// a call needs. Inputs, outputs and the gradients of outputs keep their places throughout: the caller reads
/// and writes them between steps. A gradient lives from its first write to the backward step of its node.
MemoryPlan plan_memory(const Graph& graph, std::span<const int64_t> state_bytes, int64_t scratch_bytes,
                       bool training);

}  // namespace kindred
