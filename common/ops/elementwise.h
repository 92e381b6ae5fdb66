// Elementwise results that are either written or added, decided outside the loop: a branch inside it would
// keep the CPU's loops from becoming vector loops.
#pragma once

#include "common/engine/launch.h"

namespace kindred {

/// out[i] = or += f(i) for i in [0, n).
template <class T, class F>
void write_each(Stream& stream, int64_t n, T* out, bool accumulate, F f) {
  if (accumulate) {
    launch_each(stream, n, [=] KINDRED_DEV(int64_t i) { out[i] += f(i); });
  } else {
    launch_each(stream, n, [=] KINDRED_DEV(int64_t i) { out[i] = f(i); });
  }
}

/// out[r, c] = or += f(r, c), out [rows, cols].
template <class T, class F>
void write_matrix(Stream& stream, int64_t rows, int64_t cols, T* out, bool accumulate, F f) {
  if (accumulate) {
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          row.each(cols, [=](int64_t c) { out[r * cols + c] += f(r, c); });
        },
        cols);
  } else {
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          row.each(cols, [=](int64_t c) { out[r * cols + c] = f(r, c); });
        },
        cols);
  }
}

}  // namespace kindred
