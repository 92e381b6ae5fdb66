#include "common/ops/drop_path.h"

#include <memory>

#include "common/ops/add.h"

namespace kindred {

Value drop_path(Graph& graph, Value identity, Value branch, double rate) {
  if (!(rate >= 0 && rate < 1)) fail("drop_path expects a rate in [0, 1); got ", rate);
  if (rate == 0) return add(graph, {identity, branch});
  auto op = std::make_shared<DropPath>();
  op->rate = rate;
  return graph.apply(std::move(op), {identity, branch});
}

}  // namespace kindred
