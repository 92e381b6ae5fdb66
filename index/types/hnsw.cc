// Approximate search over a graph of near neighbours, by FAISS.
// Source: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
// Navigable Small World graphs", TPAMI 2018.
#if defined(KINDRED_HAVE_FAISS)
#include <faiss/IndexHNSW.h>

#include <algorithm>

#include "index/types/faiss_index.h"

namespace kindred {
namespace {

// Neighbours of a node, and how many candidates the walk keeps when building and when searching. FAISS's own
// defaults (efConstruction 40, efSearch 16) lose two points of recall on clustered vectors.
constexpr int kNeighbours = 32, kBuildWidth = 100, kSearchWidth = 64;

std::unique_ptr<faiss::Index> make_graph(int dim) {
  auto graph = std::make_unique<faiss::IndexHNSWFlat>(dim, kNeighbours, faiss::METRIC_L2);
  graph->hnsw.efConstruction = kBuildWidth;
  return graph;
}

class HnswIndex : public FaissIndex {
 public:
  explicit HnswIndex(int dim) : FaissIndex(make_graph(dim)) {}

 private:
  void search_faiss(const faiss::Index& index, int64_t n, const float* queries, int k,
                    faiss::IDSelector* alive, float* distances, int64_t* labels) const override {
    faiss::SearchParametersHNSW parameters;
    parameters.efSearch = std::max(kSearchWidth, 2 * k);
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
