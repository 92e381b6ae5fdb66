// The inner loops of the CPU's depthwise convolution: sixteen channels of up to eight neighbouring pixels of
// a row, held in fp32 registers while one row of the window passes over them. NHWC; everything is unrolled
// at compile time.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "common/base/bfloat16.h"

namespace kindred::depthwise {

constexpr int kLanes = 16;  // channels at a time: one 512-bit register, or two of 256 bits
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

template <class T>
alignas(64) inline constexpr T kZeros[kLanes] = {};  // stands for a pixel beyond the border

[[gnu::always_inline]] inline void load(Vector& to, const float* from) {
  std::memcpy(&to, from, sizeof(Vector));
}
[[gnu::always_inline]] inline void load(Vector& to, const BFloat16* from) {
  typedef uint16_t Half __attribute__((vector_size(sizeof(Vector) / 2)));
  typedef uint32_t Word __attribute__((vector_size(sizeof(Vector))));
  Half half;
  std::memcpy(&half, from, sizeof half);
  const Word word = __builtin_convertvector(half, Word) << 16;
  std::memcpy(&to, &word, sizeof word);
}

/// Writes lanes [skip, kLanes): the last block of channels overlaps the one before it, whose lanes are done.
[[gnu::always_inline]] inline void store(float* to, const Vector& from, int skip, bool add) {
  if (skip == 0) {
    Vector sum = from;
    if (add) {
      Vector before;
      load(before, to);
      sum += before;
    }
    std::memcpy(to, &sum, sizeof(Vector));
    return;
  }
  float lanes[kLanes];  // a copy: indexing `from` itself would keep it out of the registers
  std::memcpy(lanes, &from, sizeof(Vector));
  for (int lane = skip; lane < kLanes; ++lane) to[lane] = add ? to[lane] + lanes[lane] : lanes[lane];
}

/// f(0), f(1), ..., f(N - 1), the index a compile-time constant.
template <int N, class F>
[[gnu::always_inline]] inline void unrolled(F f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }
  (std::make_integer_sequence<int, N>{});
}

/// One row of an image at one block of channels.
template <class T>
struct Line {
  const T* data;     // channel block of column 0
  int64_t channels;  // elements from one column to the next
  int64_t columns;
};

/// N neighbouring columns of a line from `first` on, zeros beyond its ends.
template <bool Inside, int N, class T>
struct Columns {
  const T* at[N];  // addresses first, all together: a choice at each load would become a jump

  [[gnu::always_inline]] inline Columns(const Line<T>& line, int64_t first) {
    for (int j = 0; j < N; ++j) {
      const int64_t x = first + j;
      at[j] = x >= 0 && x < line.columns ? line.data + x * line.channels : kZeros<T>;
    }
  }
  [[gnu::always_inline]] inline const T* column(int j) const { return at[j]; }
};

template <int N, class T>
struct Columns<true, N, T> {
  const T* data;
  int64_t channels;

  [[gnu::always_inline]] inline Columns(const Line<T>& line, int64_t first)
      : data(line.data + first * line.channels), channels(line.channels) {}
  [[gnu::always_inline]] inline const T* column(int j) const { return data + j * channels; }
};

/// How T accumulators, a window of K taps at stride S and the columns of a line meet.
/// Down: accumulator t is output column o + t; it meets column j (of the line, from o S - left) under tap j -
/// t S. Up (the transpose): accumulator t is input column i + t with i + left = m S; column j is output m -
/// kBack + j.
template <int K, int S, int T>
struct Down {
  static constexpr int kColumns = (T - 1) * S + K;
  static constexpr int accumulator(int column, int tap) {
    const int distance = column - tap;
    return distance >= 0 && distance % S == 0 && distance / S < T ? distance / S : -1;
  }
};
template <int K, int S, int T>
struct Up {
  static constexpr int kBack = (K - 1) / S;
  static constexpr int kColumns = kBack + (T - 1) / S + 1;
  static constexpr int accumulator(int column, int tap) {
    const int t = (column - kBack) * S + tap;
    return t >= 0 && t < T ? t : -1;
  }
};

/// sums[t] += column j times tap k, wherever they meet. taps: K weights, `channels` elements apart.
template <class Meeting, int K, bool Inside, int T, class X>
[[gnu::always_inline]] inline void convolve(Vector (&sums)[T], const Line<X>& line, int64_t first,
                                            const float* taps) {
  Vector weights[K];
  unrolled<K>([&](auto k) __attribute__((always_inline)) { load(weights[k], taps + k * line.channels); });
  const Columns<Inside, Meeting::kColumns, X> columns(line, first);
  unrolled<Meeting::kColumns>([&](auto j) __attribute__((always_inline)) {
    Vector column;
    load(column, columns.column(j));
    unrolled<K>([&](auto k) __attribute__((always_inline)) {
      constexpr int t = Meeting::accumulator(j, k);
      if constexpr (t >= 0) sums[t] += column * weights[k];
    });
  });
}

/// sums[k] += gradient[t] times column j, wherever the two meet under tap k.
template <class Meeting, int K, bool Inside, int T, class X>
[[gnu::always_inline]] inline void correlate(Vector (&sums)[2 * K], const Line<X>& line, int64_t first,
                                             const Vector (&gradient)[T]) {
  const Columns<Inside, Meeting::kColumns, X> columns(line, first);
  unrolled<Meeting::kColumns>([&](auto j) __attribute__((always_inline)) {
    Vector column;
    load(column, columns.column(j));
    unrolled<K>([&](auto k) __attribute__((always_inline)) {
      constexpr int t = Meeting::accumulator(j, k);
      // Two sums for each tap: one alone would wait for its own last addition.
      if constexpr (t >= 0) sums[2 * k + t % 2] += column * gradient[t];
    });
  });
}

}  // namespace kindred::depthwise
