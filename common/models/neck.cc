#include "common/models/neck.h"

#include <cmath>

#include "common/ops/batch_norm.h"
#include "common/ops/dropout.h"
#include "common/ops/global_average_pool.h"
#include "common/ops/l2_normalize.h"
#include "common/ops/linear.h"

namespace kindred {

NeckParts build_neck(Graph& graph, const BackboneParts& parts, const ModelConfig& config) {
  Value x = config.neck_tail ? parts.features : global_average_pool(graph, parts.map);
  const auto scope = graph.scope("neck");
  x = dropout(graph, x, config.backbone.dropout, config.backbone.dropout_scale);
  // Xavier's normal deviation, as PaddleClas starts its FC neck. A batch norm makes a bias before it useless.
  const Init init =
      Init::normal_std(std::sqrt(2.0 / static_cast<double>(graph.shape(x)[-1] + config.embedding)));
  x = linear(graph, x, {.outputs = config.embedding, .bias = !config.bnneck, .init = init}, "fc");
  if (config.bnneck) x = batch_norm(graph, x, {.exempt = false}, "bn");  // as in PaddleClas's recipes
  return {x, l2_normalize(graph, x)};
}

}  // namespace kindred
