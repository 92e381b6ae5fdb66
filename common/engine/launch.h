// How our own kernels run: one body of code, three compilations. g++ turns a launch into loops over the
// cores, nvcc into a kernel, and the tests into an emulated warp. A body captures by value ([=] KINDRED_DEV;
// no `this`: copy members into locals first) and calls only KINDRED_DEV functions; lambdas inside a body are
// plain [=] or [&].
//
//   launch_each(stream, n, [=] KINDRED_DEV(int64_t i) { y[i] = x[i] > 0 ? x[i] : 0; });
//   launch_rows(stream, rows, [=] KINDRED_DEV(const Row& row, int64_t r) {   // a warp on a GPU
//     const float total = row.sum(n, [=](int64_t c) { return x[r * n + c]; });
//     row.once([=] { y[r] = total; }); });
//   launch_columns<2>(stream, rows, cols, [=] KINDRED_DEV(int64_t r, int64_t c) {
//     return Sums<2>{{dy[r * cols + c], dy[r * cols + c] * x[r * cols + c]}}; }, {d_beta, d_gamma},
//     Write::add, scratch);
//
// At the foot of such a file, KINDRED_SINGLE_SOURCE_KERNEL("relu", Relu, ReluKernel) registers the kernel for
// the device that the compilation is for. Launches see elements, rows and columns in any order and at once:
// no two of them may write the same place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/engine/op.h"

namespace kindred {

/// What launch_columns adds up, and where the K results [cols] go.
template <int K>
struct Sums {
  float value[K];
};
template <int K>
struct SumOutputs {
  float* out[K];
};

/// How a result reaches memory: = or +=.
enum class Write : bool { set, add };

/// A row's largest value and its index; index -1 for an empty row.
struct Largest {
  float value;
  int64_t index;
};

namespace detail {

/// Rows that one partial sum of launch_columns covers: a function of the shape alone, so that results do not
/// depend on the thread count. 16384 elements: worth waking a core for.
inline int64_t column_block_rows(int64_t rows, int64_t cols) {
  const int64_t wanted = std::max<int64_t>(32, 16384 / std::max<int64_t>(1, cols));
  return std::min(std::max<int64_t>(1, rows), wanted);
}
inline int64_t column_blocks(int64_t rows, int64_t cols) {
  const int64_t block = column_block_rows(rows, cols);
  return (rows + block - 1) / block;
}

}  // namespace detail

/// Bytes of scratch that launch_columns<K> needs.
template <int K>
int64_t columns_scratch_bytes(int64_t rows, int64_t cols) {
  return detail::column_blocks(rows, cols) * K * cols * static_cast<int64_t>(sizeof(float));
}

}  // namespace kindred

#if defined(__CUDACC__)
#include "common/engine/launch_cuda.h"
#else
#include "common/engine/launch_cpu.h"
#endif
