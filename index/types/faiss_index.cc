#if defined(KINDRED_HAVE_FAISS)
#include "index/types/faiss_index.h"

#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <bit>  // popcount
#include <limits>

#include "common/base/parallel.h"
#include "index/exact_search.h"

namespace kindred {

namespace {

// Selects the rows whose bit is not set.
struct AliveSelector final : faiss::IDSelector {
  explicit AliveSelector(std::span<const uint64_t> bits) : removed(bits) {}
  bool is_member(int64_t row) const override { return !is_removed(removed, row); }
  std::span<const uint64_t> removed;
};

}  // namespace

const float* FaissIndex::vectors() const { return storage(*index_)->get_xb(); }

void FaissIndex::add(std::span<const float> vectors) {
  index_->add(static_cast<int64_t>(vectors.size()) / dim(), vectors.data());
}

void FaissIndex::search(std::span<const float> queries, int k, std::span<const uint64_t> removed,
                        float* scores, int64_t* rows) const {
  AliveSelector alive(removed);
  int64_t left = size();
  for (const uint64_t word : removed) left -= std::popcount(word);
  const double alive_share = size() == 0 ? 1 : static_cast<double>(left) / static_cast<double>(size());
  // FAISS sees one thread per range: its own teams would fight with ours.
  parallel_ranges(static_cast<int64_t>(queries.size()) / dim(), 1, [&](int64_t begin, int64_t end) {
    const float* first = queries.data() + begin * dim();
    float* score = scores + begin * k;
    int64_t* row = rows + begin * k;
    search_faiss(*index_, end - begin, first, k, removed.empty() ? nullptr : &alive, alive_share, score, row);
    for (int64_t i = 0; i < (end - begin) * k; ++i)
      score[i] = row[i] < 0 ? -std::numeric_limits<float>::infinity() : 1 - score[i] / 2;
    // A graph walk among many removed rows may come back with too few: look at everything then.
    for (int64_t q = 0; q < end - begin; ++q) {
      const int64_t hits = std::count_if(row + q * k, row + (q + 1) * k, [](int64_t r) { return r >= 0; });
      if (hits < std::min<int64_t>(k, left))
        exact_search(vectors(), size(), dim(), std::span(first + q * dim(), static_cast<size_t>(dim())), k,
                     removed, score + q * k, row + q * k);
    }
  });
}

void FaissIndex::save(const std::string& path) const {
  try {
    faiss::write_index(index_.get(), path.c_str());
  } catch (const faiss::FaissException& error) {
    fail(path, ": cannot be written by FAISS: ", error.what());
  }
}

void FaissIndex::load(const std::string& path) {
  std::unique_ptr<faiss::Index> loaded;
  try {
    loaded.reset(faiss::read_index(path.c_str()));
  } catch (const faiss::FaissException& error) {
    fail(path, ": cannot be read by FAISS: ", error.what());
  }
  const faiss::IndexFlat* vectors = storage(*loaded);
  if (vectors == nullptr || loaded->metric_type != faiss::METRIC_L2 || vectors->ntotal != loaded->ntotal)
    fail(path, ": holds another type of index than the gallery asks for");
  if (loaded->d != dim()) fail(path, ": holds vectors of ", loaded->d, " numbers, expected ", dim());
  index_ = std::move(loaded);
}

}  // namespace kindred
#endif
