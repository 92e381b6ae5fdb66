#include "common/engine/precision.h"

#include "common/engine/cast.h"

namespace kindred {

DType parse_precision(std::string_view name) {
  if (name == "fp32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  fail("unknown precision '", name, "'; expected fp32 or bf16");
}

std::string_view precision_text(DType compute) { return compute == DType::bf16 ? "bf16" : "fp32"; }

void set_precision(Graph& graph, DType compute) {
  if (compute == DType::f32) return;
  if (compute != DType::bf16) fail("programs compute in f32 or bf16, not in ", dtype_text(compute));
  std::vector<Node>& old = graph.nodes();
  for (Node& node : old) node.dtype = node.op ? compute : DType::f32;
  for (const auto& [name, value] : graph.outputs()) old[static_cast<size_t>(value.id)].dtype = DType::f32;

  std::vector<Node> nodes;
  std::vector<int> place(old.size(), -1), other(old.size(), -1);  // of a value, and of its cast
  for (size_t i = 0; i < old.size(); ++i) {
    for (Value& input : old[i].inputs) {
      const auto from = static_cast<size_t>(input.id);
      const Node& source = nodes[static_cast<size_t>(place[from])];
      if (source.dtype == old[i].dtype) {
        input.id = place[from];
        continue;
      }
      if (other[from] < 0) {
        other[from] = static_cast<int>(nodes.size());
        nodes.push_back({std::make_shared<Cast>(),
                         {{place[from]}},
                         {},
                         source.shape,
                         source.name + ".cast",
                         old[i].dtype});
      }
      input.id = other[from];
    }
    place[i] = static_cast<int>(nodes.size());
    nodes.push_back(std::move(old[i]));
  }
  graph.replace_nodes(std::move(nodes), place);
}

}  // namespace kindred
