// Exact search without any library: scans every row. The default for galleries that fit in the processor's
// stride.
#include <vector>

#include "index/exact_search.h"
#include "index/vector_index.h"

namespace kindred {
namespace {

class ExactIndex : public VectorIndex {
 public:
  explicit ExactIndex(int dim) : dim_(dim) {}
  int dim() const override { return dim_; }
  int64_t size() const override { return static_cast<int64_t>(rows_.size()) / dim_; }
  const float* vectors() const override { return rows_.data(); }
  void add(std::span<const float> vectors) override {
    rows_.insert(rows_.end(), vectors.begin(), vectors.end());
  }
  void search(std::span<const float> queries, int k, std::span<const uint64_t> removed, float* scores,
              int64_t* rows) const override {
    exact_search(rows_.data(), size(), dim_, queries, k, removed, scores, rows);
  }
  bool has_file() const override { return false; }
  void save(const std::string&) const override {}
  void load(const std::string&) override {}

 private:
  int dim_;
  std::vector<float> rows_;
};

KINDRED_INDEX("exact", ExactIndex, "scans every vector; always right, needs no library");

}  // namespace
}  // namespace kindred
