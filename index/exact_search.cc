#include "index/exact_search.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "common/base/parallel.h"
#include "index/dot.h"
#include "index/vector_index.h"

namespace kindred {

namespace {

constexpr int64_t kQueriesAtOnce = 16;  // share one pass over the rows
constexpr int64_t kRowsAtOnce = 128;    // 256 KB of 512-dimensional rows: they stay in the second-level cache

struct Candidate {
  float score;
  int64_t row;
};

bool nearer(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

// The k nearest so far: a heap with the farthest on top.
class Nearest {
 public:
  explicit Nearest(size_t k) : k_(k) {}

  void offer(const Candidate& candidate, std::span<const uint64_t> removed) {
    if (heap_.size() == k_ && !nearer(candidate, heap_.front())) return;
    if (is_removed(removed, candidate.row)) return;
    if (heap_.size() == k_) {
      std::pop_heap(heap_.begin(), heap_.end(), nearer);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), nearer);
  }

  const std::vector<Candidate>& candidates() const { return heap_; }

 private:
  size_t k_;
  std::vector<Candidate> heap_;
};

}  // namespace

void exact_search(const float* vectors, int64_t count, int dim, std::span<const float> queries, int k,
                  std::span<const uint64_t> removed, float* scores, int64_t* rows) {
  const int64_t n = static_cast<int64_t>(queries.size()) / dim;
  const int64_t groups = (n + kQueriesAtOnce - 1) / kQueriesAtOnce;
  // Few queries: the cores share the rows. Many: each core takes whole groups of queries.
  const int64_t slices = groups >= thread_count() ? 1 : std::clamp<int64_t>(count / 4096, 1, thread_count());
  std::vector<Nearest> found(static_cast<size_t>(slices * n), Nearest(static_cast<size_t>(k)));

  parallel_for(groups * slices, [&](int64_t task) {
    const int64_t slice = task % slices, first = task / slices * kQueriesAtOnce;
    const int64_t group = std::min(kQueriesAtOnce, n - first);
    const int64_t end = count * (slice + 1) / slices;
    float block[kQueriesAtOnce * kRowsAtOnce];
    for (int64_t r = count * slice / slices; r < end; r += kRowsAtOnce) {
      const int64_t here = std::min(kRowsAtOnce, end - r);
      dot_block(queries.data() + first * dim, group, vectors + r * dim, here, dim, block);
      for (int64_t q = 0; q < group; ++q)
        for (int64_t i = 0; i < here; ++i)
          found[static_cast<size_t>(slice * n + first + q)].offer({block[q * here + i], r + i}, removed);
    }
  });

  parallel_for(n, [&](int64_t q) {
    std::vector<Candidate> all;
    for (int64_t slice = 0; slice < slices; ++slice) {
      const std::vector<Candidate>& part = found[static_cast<size_t>(slice * n + q)].candidates();
      all.insert(all.end(), part.begin(), part.end());
    }
    std::sort(all.begin(), all.end(), nearer);
    all.resize(static_cast<size_t>(k), {-std::numeric_limits<float>::infinity(), -1});
    for (int64_t i = 0; i < k; ++i) {
      scores[q * k + i] = all[static_cast<size_t>(i)].score;
      rows[q * k + i] = all[static_cast<size_t>(i)].row;
    }
  });
}

}  // namespace kindred
