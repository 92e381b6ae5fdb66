// Dot products that come out the same, bit for bit, however many queries and rows are taken at once.
#pragma once

#include <cstdint>

namespace kindred {

float dot(const float* a, const float* b, int dim);

/// scores [queries, rows] = the dot products of queries [queries, dim] and vectors [rows, dim].
void dot_block(const float* queries, int64_t query_count, const float* vectors, int64_t row_count, int dim,
               float* scores);

}  // namespace kindred
