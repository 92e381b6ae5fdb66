// The launch primitives as loops over the cores. Included by launch.h only.
#pragma once

#include "common/base/parallel.h"

#define KINDRED_DEV
// For inline namespaces and registries of code that is compiled for both devices.
#define KINDRED_LAUNCH_DEVICE cpu
#define KINDRED_SINGLE_SOURCE_KERNEL(name, O, K) KINDRED_KERNEL(cpu, name, O, K)

namespace kindred {

/// One row's worth of work: on the CPU one core does it all, in vector loops.
class Row {
 public:
  /// f(i) for i in [0, n), in any order.
  template <class F>
  void each(int64_t n, F f) const {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) f(i);
  }

  /// Sum of f(i); every lane gets it.
  template <class F>
  float sum(int64_t n, F f) const {
    return reduce(n, 0, f, [](float a, float b) { return a + b; });
  }

  /// Largest f(i), -infinity for an empty row; every lane gets it.
  template <class F>
  float max(int64_t n, F f) const {
    return reduce(n, -std::numeric_limits<float>::infinity(), f,
                  [](float a, float b) { return a < b ? b : a; });
  }

  /// Largest f(i) and its lowest index; every lane gets it.
  template <class F>
  Largest arg_max(int64_t n, F f) const {
    Largest best{-std::numeric_limits<float>::infinity(), -1};
    for (int64_t i = 0; i < n; ++i) {
      const float value = f(i);
      if (best.index < 0 || value > best.value) best = {value, i};
    }
    return best;
  }

  /// f() by one lane; what it wrote is seen by all.
  template <class F>
  void once(F f) const {
    f();
  }

 private:
  /// Sixteen running results, then halves of them. By hand, because a compiler's own `omp simd` reduction
  /// ends in sixteen dependent additions, which short rows spend most of their time in.
  template <class F, class Combine>
  static float reduce(int64_t n, float start, const F& f, Combine combine) {
    constexpr int kLanes = 16;
    float result = start;
    int64_t i = 0;
    if (n >= kLanes) {
      float lanes[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = f(lane);
      for (i = kLanes; i + kLanes <= n; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = combine(lanes[lane], f(i + lane));
      }
      for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; ++lane) lanes[lane] = combine(lanes[lane], lanes[lane + half]);
      }
      result = combine(result, lanes[0]);
    }
    for (; i < n; ++i) result = combine(result, f(i));
    return result;
  }
};

namespace detail {

constexpr int64_t kLaunchWork = 8192;  // elements that are worth waking a core for: a few microseconds

inline int64_t launch_grain(int64_t work) {
  return std::max<int64_t>(1, kLaunchWork / std::max<int64_t>(1, work));
}

constexpr int64_t kColumnTile = 128;

/// sums[k] [width] += f over rows [begin, end) of columns first .. first + width, four rows at a time.
/// No `omp simd` here: it would give every lane a Sums in memory. That nothing else points at the sums is
/// enough.
template <int K, class F>
void add_rows(int64_t begin, int64_t end, int64_t first, int64_t width, const F& f,
              float (&__restrict sums)[K][kColumnTile]) {
  int64_t r = begin;
  for (; r + 4 <= end; r += 4) {
    for (int64_t c = 0; c < width; ++c) {
      const Sums<K> s0 = f(r, first + c), s1 = f(r + 1, first + c), s2 = f(r + 2, first + c),
                    s3 = f(r + 3, first + c);
      for (int k = 0; k < K; ++k) {
        sums[k][c] += (s0.value[k] + s1.value[k]) + (s2.value[k] + s3.value[k]);
      }
    }
  }
  for (; r < end; ++r) {
    for (int64_t c = 0; c < width; ++c) {
      const Sums<K> s = f(r, first + c);
      for (int k = 0; k < K; ++k) sums[k][c] += s.value[k];
    }
  }
}

/// One block of rows into partial [K][cols]: 64 rows at a time in fp32, those in double.
template <int K, class F>
void sum_column_block(int64_t begin, int64_t end, int64_t first, int64_t width, int64_t cols, const F& f,
                      float* partial) {
  constexpr int64_t kChunk = 64;
  double totals[K][kColumnTile] = {};
  for (int64_t r = begin; r < end; r += kChunk) {
    float sums[K][kColumnTile] = {};
    add_rows<K>(r, std::min(end, r + kChunk), first, width, f, sums);
    for (int k = 0; k < K; ++k) {
      for (int64_t c = 0; c < width; ++c) totals[k][c] += static_cast<double>(sums[k][c]);
    }
  }
  for (int k = 0; k < K; ++k) {
    for (int64_t c = 0; c < width; ++c) partial[k * cols + first + c] = static_cast<float>(totals[k][c]);
  }
}

}  // namespace detail

/// f(i) for i in [0, n). `work`: elements that one call touches, for dividing among cores.
template <class F>
void launch_each(Stream&, int64_t n, F f, int64_t work = 1) {
  parallel_ranges(n, detail::launch_grain(work), [&f](int64_t begin, int64_t end) {
    const F body = f;  // a copy of its own: the compiler sees that stores cannot change what it captured
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

/// f(row, r) for r in [0, rows). `work`: elements of a row, for dividing among cores.
template <class F>
void launch_rows(Stream&, int64_t rows, F f, int64_t work = 256) {
  parallel_ranges(rows, detail::launch_grain(work), [&f](int64_t begin, int64_t end) {
    const F body = f;
    for (int64_t r = begin; r < end; ++r) body(Row(), r);
  });
}

/// outputs.out[k][c] = or += the sum over r in [0, rows) of f(r, c).value[k]. In two stages whose order
/// depends on the shape alone: blocks of rows in fp32, then the blocks one after the other in double.
/// scratch: at least columns_scratch_bytes<K>(rows, cols) bytes.
template <int K, class F>
void launch_columns(Stream&, int64_t rows, int64_t cols, F f, SumOutputs<K> outputs, Write write,
                    const Tensor& scratch) {
  KINDRED_ASSERT(scratch.bytes() >= columns_scratch_bytes<K>(rows, cols));
  constexpr int64_t kTile = detail::kColumnTile;
  float* const partials = static_cast<float*>(scratch.raw());
  const int64_t block = detail::column_block_rows(rows, cols), blocks = detail::column_blocks(rows, cols);
  parallel_for(blocks, [&, partials](int64_t b) {
    const F body = f;
    for (int64_t first = 0; first < cols; first += kTile) {
      detail::sum_column_block<K>(b * block, std::min(rows, (b + 1) * block), first,
                                  std::min(kTile, cols - first), cols, body, partials + b * K * cols);
    }
  });
  const int64_t tiles = (cols + kTile - 1) / kTile;
  parallel_for(
      K * tiles,
      [&, partials](int64_t job) {
        const int64_t k = job / tiles, first = job % tiles * kTile, width = std::min(kTile, cols - first);
        double sums[kTile] = {};
        for (int64_t b = 0; b < blocks; ++b) {
          const float* const partial = partials + (b * K + k) * cols + first;
          for (int64_t c = 0; c < width; ++c) sums[c] += static_cast<double>(partial[c]);
        }
        float* const out = outputs.out[k] + first;
        for (int64_t c = 0; c < width; ++c) {
          out[c] = static_cast<float>(write == Write::add ? static_cast<double>(out[c]) + sums[c] : sums[c]);
        }
      },
      detail::launch_grain(blocks * kTile));
}

}  // namespace kindred
