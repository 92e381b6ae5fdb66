#include "common/metrics/retrieval.h"

#include <algorithm>
#include <functional>  // greater

#include "common/base/error.h"
#include "common/metrics/scores.h"

namespace kindred {

namespace {

// Descending keys are the rank order: score first, then the lower gallery index.
uint64_t rank_key(float score, int64_t index) {
  return uint64_t{ordered_bits(score)} << 32 | ~static_cast<uint32_t>(index);
}
int64_t index_of_key(uint64_t key) { return static_cast<int64_t>(~static_cast<uint32_t>(key)); }

/// Calls f(query, scores over the whole gallery) for every query, on all cores.
template <class F>
void for_each_query(const VectorSet& queries, const VectorSet& gallery, F&& f) {
  if (gallery.size() > int64_t{UINT32_MAX})
    fail("gallery: ", gallery.size(), " vectors; at most 2^32 - 1 can be ranked");
  constexpr int64_t kBufferFloats = 4 << 20;  // 16 MB a core
  const int64_t block = std::clamp<int64_t>(kBufferFloats / std::max<int64_t>(1, gallery.size()), 1, 128);
  std::vector<std::vector<float>> buffers(static_cast<size_t>(block_workers(queries.size(), block)));
  parallel_blocks(queries.size(), block, [&](int64_t worker, int64_t begin, int64_t end) {
    std::vector<float>& scores = buffers[static_cast<size_t>(worker)];
    scores.resize(static_cast<size_t>(block * gallery.size()));
    score_tile(queries.vectors.data() + begin * queries.dim, end - begin, gallery.vectors.data(),
               gallery.size(), queries.dim, scores.data());
    for (int64_t i = begin; i < end; ++i) f(i, scores.data() + (i - begin) * gallery.size());
  });
}

/// Ranks, from 1, of the relevant items of one query, best first. The query's own sample takes no rank.
std::vector<int64_t> relevant_ranks(const VectorSet& gallery, int64_t label, int64_t id,
                                    const float* scores) {
  std::vector<uint64_t> relevant;
  for (int64_t j = 0; j < gallery.size(); ++j) {
    if (gallery.labels[j] == label && gallery.ids[j] != id) relevant.push_back(rank_key(scores[j], j));
  }
  if (relevant.empty()) return {};
  std::sort(relevant.begin(), relevant.end(), std::greater<>());
  // above[r]: items that stand above relevant[r] but not above relevant[r - 1].
  std::vector<int64_t> above(relevant.size() + 1, 0);
  const float lowest = scores[index_of_key(relevant.back())];
  for (int64_t j = 0; j < gallery.size(); ++j) {
    if (scores[j] < lowest || gallery.labels[j] == label || gallery.ids[j] == id) continue;
    const auto place =
        std::lower_bound(relevant.begin(), relevant.end(), rank_key(scores[j], j), std::greater<>());
    ++above[static_cast<size_t>(place - relevant.begin())];
  }
  std::vector<int64_t> ranks(relevant.size());
  int64_t others = 0;
  for (size_t r = 0; r < ranks.size(); ++r) {
    others += above[r];
    ranks[r] = others + static_cast<int64_t>(r) + 1;
  }
  return ranks;
}

/// What one query adds to the means.
struct QueryResult {
  int64_t first_rank = 0;  // 0: no relevant item
  double average_precision = 0, average_precision_at_r = 0, r_precision = 0;
};

QueryResult summarize(const std::vector<int64_t>& ranks) {
  QueryResult result;
  if (ranks.empty()) return result;
  result.first_rank = ranks.front();
  const auto relevant = static_cast<int64_t>(ranks.size());
  for (int64_t r = 0; r < relevant; ++r) {
    const int64_t rank = ranks[static_cast<size_t>(r)];
    const double precision = static_cast<double>(r + 1) / static_cast<double>(rank);
    result.average_precision += precision;
    if (rank > relevant) continue;
    result.average_precision_at_r += precision;
    result.r_precision += 1;
  }
  result.average_precision /= static_cast<double>(relevant);
  result.average_precision_at_r /= static_cast<double>(relevant);
  result.r_precision /= static_cast<double>(relevant);
  return result;
}

}  // namespace

RetrievalMetrics evaluate_retrieval(const VectorSet& queries, const VectorSet& gallery,
                                    std::span<const int> ks) {
  check_comparable(queries, gallery);
  std::vector<QueryResult> results(static_cast<size_t>(queries.size()));
  for_each_query(queries, gallery, [&](int64_t i, const float* scores) {
    results[static_cast<size_t>(i)] =
        summarize(relevant_ranks(gallery, queries.labels[i], queries.ids[i], scores));
  });

  RetrievalMetrics metrics;
  metrics.queries = queries.size();
  for (const int k : ks) metrics.recall_at_k[k] = 0;
  for (const QueryResult& result : results) {
    if (result.first_rank == 0) {
      ++metrics.queries_without_match;
      continue;
    }
    for (auto& [k, hits] : metrics.recall_at_k) hits += result.first_rank <= k ? 1 : 0;
    metrics.mean_average_precision += result.average_precision;
    metrics.map_at_r += result.average_precision_at_r;
    metrics.r_precision += result.r_precision;
  }
  const double counted =
      static_cast<double>(std::max<int64_t>(1, metrics.queries - metrics.queries_without_match));
  for (auto& [k, hits] : metrics.recall_at_k) hits /= counted;
  metrics.mean_average_precision /= counted;
  metrics.map_at_r /= counted;
  metrics.r_precision /= counted;
  return metrics;
}

std::vector<Neighbour> nearest_neighbours(const VectorSet& queries, const VectorSet& gallery, int k) {
  check_comparable(queries, gallery);
  if (k < 1) fail("nearest neighbours: k is ", k, "; expected at least 1");
  std::vector<Neighbour> neighbours(static_cast<size_t>(queries.size() * k));
  for_each_query(queries, gallery, [&](int64_t i, const float* scores) {
    std::vector<uint64_t> best;  // a heap whose front is the lowest of the k best so far
    best.reserve(static_cast<size_t>(std::min<int64_t>(k, gallery.size())));
    for (int64_t j = 0; j < gallery.size(); ++j) {
      if (gallery.ids[j] == queries.ids[i]) continue;
      const uint64_t key = rank_key(scores[j], j);
      if (best.size() == static_cast<size_t>(k)) {
        if (key < best.front()) continue;
        std::pop_heap(best.begin(), best.end(), std::greater<>());
        best.pop_back();
      }
      best.push_back(key);
      std::push_heap(best.begin(), best.end(), std::greater<>());
    }
    std::sort_heap(best.begin(), best.end(), std::greater<>());
    for (size_t r = 0; r < best.size(); ++r) {
      const int64_t j = index_of_key(best[r]);
      neighbours[static_cast<size_t>(i) * static_cast<size_t>(k) + r] = {j, scores[j]};
    }
  });
  return neighbours;
}

}  // namespace kindred
