// Search by looking at every row: the oracle of the other index types and their fallback.
#pragma once

#include <cstdint>
#include <span>

namespace kindred {

/// The contract of VectorIndex::search over vectors [count, dim]. Ties go to the lower row. Uses all cores
/// that `thread_count` grants the calling thread.
void exact_search(const float* vectors, int64_t count, int dim, std::span<const float> queries, int k,
                  std::span<const uint64_t> removed, float* scores, int64_t* rows);

}  // namespace kindred
