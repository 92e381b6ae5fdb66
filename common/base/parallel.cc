#include "common/base/parallel.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

namespace kindred {

#if defined(__SANITIZE_THREAD__)
constexpr bool kSerial =
    true;  // libgomp is not instrumented: its barriers look like races to ThreadSanitizer
#else
constexpr bool kSerial = false;
#endif

int thread_count() { return kSerial ? 1 : omp_get_max_threads(); }
void set_thread_count(int threads) { omp_set_num_threads(std::max(1, threads)); }

int fair_thread_count(int processes) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return thread_count();
  const int mine = omp_get_num_procs(), all = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  const bool bound = mine < all;
  return std::max(1, bound ? mine : all / std::max(1, processes));
}

namespace detail {

void parallel_ranges(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int parts = static_cast<int>(std::min<int64_t>(thread_count(), most));
  if (parts == 1 || omp_in_parallel()) {
    body(context, 0, n);
    return;
  }
  std::exception_ptr first;
  std::mutex mutex;
#pragma omp parallel num_threads(parts)
  {
    // The runtime may grant fewer threads than asked: divide by what is there.
    const int64_t here = omp_get_num_threads(), i = omp_get_thread_num();
    try {
      const int64_t begin = n * i / here, end = n * (i + 1) / here;
      if (begin < end) body(context, begin, end);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace detail
}  // namespace kindred
