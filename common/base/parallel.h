// Loops over the cores of this process. One pool serves everything (OpenMP's, which oneDNN uses too).
#pragma once

#include <cstdint>
#include <exception>
#include <type_traits>

namespace kindred {

/// Threads that parallel_for uses in the calling thread's regions; >= 1.
int thread_count();
void set_thread_count(int threads);
/// This process's share of the machine where `processes` of its kind run: OMP_NUM_THREADS where that is set,
/// the cores that a launcher bound the process to, otherwise an equal part of all cores. >= 1.
int fair_thread_count(int processes);

namespace detail {
/// Runs body(context, begin, end) over parts of [0, n); an exception of any part is thrown once, after all
/// end.
void parallel_ranges(int64_t n, int64_t grain, void (*body)(void* context, int64_t begin, int64_t end),
                     void* context);
}  // namespace detail

/// Calls f(begin, end) on disjoint ranges that cover [0, n), each of at least `grain` elements where n
/// allows. Which ranges depends on the thread count: f must not. Nested calls run serially.
template <class F>
void parallel_ranges(int64_t n, int64_t grain, F&& f) {
  detail::parallel_ranges(
      n, grain,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<F>*>(context))(begin, end);
      },
      &f);
}

/// Calls f(i) for every i in [0, n).
template <class F>
void parallel_for(int64_t n, F&& f, int64_t grain = 1) {
  parallel_ranges(n, grain, [&f](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace kindred
