// Ranking metrics, exact, by streaming: memory is O(queries * k), never queries x gallery.
// Rank order is (score descending, gallery index ascending). The same sample is excluded by id; queries
// without a relevant item are counted, not averaged in.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace kindred {

/// Unit vectors with labels. `ids` tell the same picture in both sets.
struct VectorSet {
  std::span<const float> vectors;  // [n, dim]
  int dim = 0;
  std::span<const int64_t> labels;  // [n]
  std::span<const int64_t> ids;     // [n]

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct RetrievalMetrics {
  std::map<int, double> recall_at_k;  // a relevant item among the top K (CMC, hit rate)
  double mean_average_precision = 0;  // full ranking
  double map_at_r = 0;                // Musgrave et al., ECCV 2020
  double r_precision = 0;
  int64_t queries = 0, queries_without_match = 0;
};

/// Exact over all pairs. Requires equal dims. `ks` ascending.
RetrievalMetrics evaluate_retrieval(const VectorSet& queries, const VectorSet& gallery,
                                    std::span<const int> ks);

struct Neighbour {
  int64_t index = -1;
  float score = 0;
};

/// The k nearest of every query, nearest first, ids equal to the query's left out; [n * k], index -1 past the
/// end.
std::vector<Neighbour> nearest_neighbours(const VectorSet& queries, const VectorSet& gallery, int k);

}  // namespace kindred
