#include "common/ops/dropout.h"

#include <memory>

namespace kindred {

Value dropout(Graph& graph, Value x, double rate, DropoutScale scale) {
  if (!(rate >= 0 && rate < 1)) fail("dropout expects a rate in [0, 1); got ", rate);
  if (rate == 0) return x;
  auto op = std::make_shared<Dropout>();
  op->rate = rate;
  op->scale = scale;
  return graph.apply(std::move(op), {x});
}

}  // namespace kindred
