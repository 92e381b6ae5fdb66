#include "common/ops/dropout.h"

#include <memory>

namespace kindred {

std::string_view dropout_scale_text(DropoutScale scale) {
  return scale == DropoutScale::upscale_in_train ? "upscale_in_train" : "downscale_in_infer";
}

DropoutScale parse_dropout_scale(std::string_view text) {
  for (const DropoutScale scale : {DropoutScale::upscale_in_train, DropoutScale::downscale_in_infer})
    if (text == dropout_scale_text(scale)) return scale;
  fail("unknown dropout scale '", text, "'; expected upscale_in_train or downscale_in_infer");
}

Value dropout(Graph& graph, Value x, double rate, DropoutScale scale) {
  if (!(rate >= 0 && rate < 1)) fail("dropout expects a rate in [0, 1); got ", rate);
  if (rate == 0) return x;
  auto op = std::make_shared<Dropout>();
  op->rate = rate;
  op->scale = scale;
  return graph.apply(std::move(op), {x});
}

}  // namespace kindred
