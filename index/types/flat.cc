// Exact search by FAISS: for comparison with "exact", and for large batches of queries.
#if defined(KINDRED_HAVE_FAISS)
#include "index/types/faiss_index.h"

namespace kindred {
namespace {

class FlatIndex : public FaissIndex {
 public:
  explicit FlatIndex(int dim) : FaissIndex(std::make_unique<faiss::IndexFlat>(dim, faiss::METRIC_L2)) {}

 private:
  void search_faiss(const faiss::Index& index, int64_t n, const float* queries, int k,
                    faiss::IDSelector* alive, double /*alive_share*/, float* distances,
                    int64_t* labels) const override {
    faiss::SearchParameters parameters;
    parameters.sel = alive;
    index.search(n, queries, k, distances, labels, &parameters);
  }
  const faiss::IndexFlat* storage(const faiss::Index& index) const override {
    return dynamic_cast<const faiss::IndexFlat*>(&index);
  }
};

KINDRED_INDEX("flat", FlatIndex, "scans every vector by FAISS");

}  // namespace
}  // namespace kindred
#endif
