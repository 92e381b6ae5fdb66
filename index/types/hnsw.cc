// Approximate search over a graph of near neighbours, by FAISS.
// Source: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
// Navigable Small World graphs", TPAMI 2018.
#if defined(KINDRED_HAVE_FAISS)
#include <faiss/IndexHNSW.h>

#include <algorithm>

#include "index/exact_search.h"
#include "index/types/faiss_index.h"

namespace kindred {
namespace {

// Neighbours of a node, and how many candidates the walk keeps when building and when searching. FAISS's own
// defaults (efConstruction 40, efSearch 16) lose two points of recall on clustered vectors.
constexpr int kNeighbours = 32, kBuildWidth = 100, kSearchWidth = 64, kMostWidening = 8;
constexpr int64_t kScanRows =
    2048;  // up to here looking at every row is as fast as the walk, and always right

std::unique_ptr<faiss::Index> make_graph(int dim) {
  auto graph = std::make_unique<faiss::IndexHNSWFlat>(dim, kNeighbours, faiss::METRIC_L2);
  graph->hnsw.efConstruction = kBuildWidth;
  // FAISS 1.7.3 sizes its queue of candidates by this member, whatever the parameters of a search say.
  graph->hnsw.efSearch = kSearchWidth * kMostWidening;
  return graph;
}

class HnswIndex : public FaissIndex {
 public:
  explicit HnswIndex(int dim) : FaissIndex(make_graph(dim)) {}
  void search(std::span<const float> queries, int k, std::span<const uint64_t> removed, float* scores,
              int64_t* rows) const override {
    if (size() <= kScanRows)
      exact_search(vectors(), size(), dim(), queries, k, removed, scores, rows);
    else
      FaissIndex::search(queries, k, removed, scores, rows);
  }

 private:
  void search_faiss(const faiss::Index& index, int64_t n, const float* queries, int k,
                    faiss::IDSelector* alive, double alive_share, float* distances,
                    int64_t* labels) const override {
    faiss::SearchParametersHNSW parameters;
    // Removed rows take up places on the walk: keep as many living candidates as without them.
    const double width = std::max(kSearchWidth, 2 * k) / std::max(alive_share, 1.0 / kMostWidening);
    parameters.efSearch = static_cast<int>(width);
    parameters.sel = alive;
    index.search(n, queries, k, distances, labels, &parameters);
  }
  const faiss::IndexFlat* storage(const faiss::Index& index) const override {
    const auto* graph = dynamic_cast<const faiss::IndexHNSWFlat*>(&index);
    return graph == nullptr ? nullptr : dynamic_cast<const faiss::IndexFlat*>(graph->storage);
  }
};

KINDRED_INDEX("hnsw", HnswIndex, "walks a graph of near neighbours (FAISS): fast on millions, nearly exact");

}  // namespace
}  // namespace kindred
#endif
