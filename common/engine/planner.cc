#include "common/engine/planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace kindred {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

bool together(const Buffer& a, const Buffer& b) { return a.first <= b.last && b.first <= a.last; }

/// The smallest gap that holds `buffer` between those of `placed` (by offset) that live together with it.
int64_t best_gap(const Buffer& buffer, std::span<const Buffer* const> placed) {
  int64_t best = -1, best_room = std::numeric_limits<int64_t>::max(), end = 0;
  for (const Buffer* other : placed) {
    if (!together(buffer, *other)) continue;
    const int64_t room = other->offset - end;
    if (room >= aligned(buffer.bytes) && room < best_room) best = end, best_room = room;
    end = std::max(end, other->offset + aligned(other->bytes));
  }
  return best >= 0 ? best : end;
}

class Lifetimes {
 public:
  Lifetimes(const Graph& graph, bool training, MemoryPlan& plan)
      : graph_(graph), count_(static_cast<int>(graph.nodes().size())), training_(training), plan_(plan) {}

  int backward_step(int node) const { return 2 * count_ - 1 - node; }
  int end() const { return training_ ? 2 * count_ - 1 : count_ - 1; }

  int add(int64_t bytes, int first, int last) {
    plan_.buffers.push_back({bytes, first, last});
    return static_cast<int>(plan_.buffers.size()) - 1;
  }

  void values() {
    for (int i = 0; i < count_; ++i) node(i).value = add(bytes(i), i, i);
    for (int i = 0; i < count_; ++i) {
      const Node& n = graph_.nodes()[static_cast<size_t>(i)];
      const bool kept = n.op && training_ && plan_.differentiable[static_cast<size_t>(i)];
      const Saved saved = kept ? n.op->saved() : Saved{};
      for (size_t k = 0; k < n.inputs.size(); ++k) {
        extend(n.inputs[k].id, saved.inputs >> k & 1 ? backward_step(i) : i);
      }
      if (saved.output) extend(i, backward_step(i));
    }
    for (const auto& [name, value] : graph_.inputs()) pin(node(value.id).value);
    for (const auto& [name, value] : graph_.outputs()) pin(node(value.id).value);
  }

  void gradients() {
    for (int i = count_ - 1; i >= 0; --i) {
      if (!plan_.differentiable[static_cast<size_t>(i)]) continue;
      for (const Value input : graph_.nodes()[static_cast<size_t>(i)].inputs) {
        if (!plan_.differentiable[static_cast<size_t>(input.id)] || node(input.id).gradient >= 0) continue;
        node(input.id).gradient = add(bytes(input.id), backward_step(i), backward_step(input.id));
      }
    }
    for (const auto& [name, value] : graph_.outputs()) {
      NodeBuffers& buffers = node(value.id);
      if (buffers.gradient < 0)
        buffers.gradient = add(bytes(value.id), 0, 0);  // of no effect when nothing is trained
      pin(buffers.gradient);
    }
  }

  void states(std::span<const int64_t> state_bytes) {
    for (int i = 0; i < count_; ++i) {
      const int64_t size = state_bytes[static_cast<size_t>(i)];
      const bool kept = training_ && plan_.differentiable[static_cast<size_t>(i)];
      if (size > 0) node(i).state = add(size, i, kept ? backward_step(i) : i);
    }
  }

 private:
  NodeBuffers& node(int i) { return plan_.nodes[static_cast<size_t>(i)]; }
  int64_t bytes(int i) const {
    const Node& n = graph_.nodes()[static_cast<size_t>(i)];
    return n.shape.elements() * dtype_bytes(n.dtype);
  }
  void extend(int i, int step) {
    int& last = plan_.buffers[static_cast<size_t>(node(i).value)].last;
    last = std::max(last, step);
  }
  void pin(int buffer) {
    Buffer& b = plan_.buffers[static_cast<size_t>(buffer)];
    b.first = 0, b.last = end();
  }

  const Graph& graph_;
  int count_;
  bool training_;
  MemoryPlan& plan_;
};

}  // namespace

std::vector<uint8_t> find_differentiable(const Graph& graph) {
  const std::vector<Node>& nodes = graph.nodes();
  std::vector<uint8_t> trained(nodes.size()), read(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Param param : nodes[i].parameters) trained[i] |= graph.parameters().info(param).trainable;
    for (const Value input : nodes[i].inputs) trained[i] |= trained[static_cast<size_t>(input.id)];
  }
  for (const auto& [name, value] : graph.outputs()) read[static_cast<size_t>(value.id)] = 1;
  for (size_t i = nodes.size(); i-- > 0;) {
    for (const Value input : nodes[i].inputs) read[static_cast<size_t>(input.id)] |= read[i];
    trained[i] &= read[i];
  }
  return trained;
}

int64_t place_buffers(std::span<Buffer> buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<const Buffer*> placed;
  int64_t arena = 0;
  for (const size_t i : order) {
    Buffer& buffer = buffers[i];
    buffer.offset = best_gap(buffer, placed);
    arena = std::max(arena, buffer.offset + aligned(buffer.bytes));
    const auto behind =
        std::upper_bound(placed.begin(), placed.end(), buffer.offset,
                         [](int64_t offset, const Buffer* other) { return offset < other->offset; });
    placed.insert(behind, &buffer);
  }
  return arena;
}

int64_t MemoryPlan::bytes_without_reuse() const {
  int64_t total = 0;
  for (const Buffer& buffer : buffers) total += aligned(buffer.bytes);
  return total;
}

bool MemoryPlan::intact(int node, int step) const {
  const Buffer& value = buffers[static_cast<size_t>(nodes[static_cast<size_t>(node)].value)];
  return std::none_of(buffers.begin(), buffers.end(), [&](const Buffer& other) {
    const bool apart =
        other.offset + other.bytes <= value.offset || value.offset + value.bytes <= other.offset;
    return !apart && &other != &value && other.first > value.first && other.first <= step;
  });
}

MemoryPlan plan_memory(const Graph& graph, std::span<const int64_t> state_bytes, int64_t scratch_bytes,
                       bool training) {
  MemoryPlan plan;
  plan.nodes.resize(graph.nodes().size());
  plan.differentiable = training ? find_differentiable(graph) : std::vector<uint8_t>(graph.nodes().size());
  Lifetimes lifetimes(graph, training, plan);
  lifetimes.values();
  if (training) lifetimes.gradients();
  lifetimes.states(state_bytes);
  if (scratch_bytes > 0) plan.scratch = lifetimes.add(scratch_bytes, 0, lifetimes.end());
  plan.arena_bytes = place_buffers(plan.buffers);
  return plan;
}

}  // namespace kindred
