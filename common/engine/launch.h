// How our own kernels run: one body of code, three compilations. g++ turns a launch into loops over the cores,
// nvcc into a kernel, and the tests into an emulated warp. A body captures by value ([=] KINDRED_DEV) and calls
// only KINDRED_DEV functions.
//
//   launch_each(stream, n, [=] KINDRED_DEV(int64_t i) { y[i] = x[i] > 0 ? x[i] : 0; });
//   launch_rows(stream, rows, [=] KINDRED_DEV(const Row& row, int64_t r) {   // a warp on a GPU
//     const float total = row.sum(n, [=] KINDRED_DEV(int64_t c) { return x[r * n + c]; });
//     row.once([=] KINDRED_DEV { y[r] = total; }); });
//   launch_columns<2>(...)  // column sums in a fixed order: batch norm statistics, bias gradients
#pragma once

// The engine's helper fills this in.
