#include "common/ops/patch_merge.h"

#include <memory>

namespace kindred {

Value patch_merge(Graph& graph, Value images) {
  return graph.apply(std::make_shared<PatchMerge>(), {images});
}

}  // namespace kindred
