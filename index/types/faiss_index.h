// What the FAISS index types share. FAISS holds vectors under METRIC_L2: for unit vectors the ranking is the
// cosine's, cos = 1 - d^2 / 2, and in FAISS 1.7.3 that metric is faster and recalls more than inner product.
// Only operations known not to throw inside FAISS's OpenMP regions are called: add, search with a selector.
#pragma once

#include <faiss/IndexFlat.h>

#include <memory>

#include "common/base/log.h"
#include "index/vector_index.h"

namespace kindred {

class FaissIndex : public VectorIndex {
 public:
  int dim() const override { return static_cast<int>(index_->d); }
  int64_t size() const override { return index_->ntotal; }
  const float* vectors() const override;
  void add(std::span<const float> vectors) override;
  void search(std::span<const float> queries, int k, std::span<const uint64_t> removed, float* scores,
              int64_t* rows) const override;
  void save(const std::string& path) const override;
  void load(const std::string& path) override;

 protected:
  explicit FaissIndex(std::unique_ptr<faiss::Index> index) : index_(std::move(index)) {}

  /// The FAISS call itself: distances and labels [n, k]. `alive` selects rows, null for all; `alive_share` of
  /// them.
  virtual void search_faiss(const faiss::Index& index, int64_t n, const float* queries, int k,
                            faiss::IDSelector* alive, double alive_share, float* distances,
                            int64_t* labels) const = 0;
  /// The flat store of the vectors inside `index`; null when it is of another type.
  virtual const faiss::IndexFlat* storage(const faiss::Index& index) const = 0;

 private:
  std::unique_ptr<faiss::Index> index_;
};

}  // namespace kindred
