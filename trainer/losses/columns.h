// What anchors are scored against, one tile at a time: the rows gathered from all ranks, or a memory bank.
#pragma once

#include <cstdint>
#include <functional>

#include "common/engine/stream.h"

namespace kindred {

struct Columns {
  int64_t count = 0;
  const int64_t *labels = nullptr, *ids = nullptr;  // [count]
  float* gradients = nullptr;                       // [count, D], or null: these rows do not learn
  /// Rows [first, first + width), valid until the next call. Collective where ranks hold parts.
  std::function<const float*(int64_t first, int64_t width)> embeddings;
};

}  // namespace kindred
