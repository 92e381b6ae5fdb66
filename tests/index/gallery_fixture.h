// What the gallery tests share: random unit vectors, items, and a plain gallery to
// compare with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "index/gallery.h"
#include "tests/support/temporary_folder.h"

namespace kindred {

using test::TemporaryFolder;

inline std::vector<float> unit_rows(int64_t n, int dim, uint64_t seed) {
  Random random(seed, {1, 2, 3});
  std::vector<float> rows(static_cast<size_t>(n * dim));
  for (int64_t r = 0; r < n; ++r) {
    double squares = 0;
    for (int d = 0; d < dim; ++d) {
      const double value = random.normal();
      rows[static_cast<size_t>(r * dim + d)] = static_cast<float>(value);
      squares += value * value;
    }
    for (int d = 0; d < dim; ++d)
      rows[static_cast<size_t>(r * dim + d)] /= static_cast<float>(std::sqrt(squares));
  }
  return rows;
}

inline GalleryItem make_item(const std::string& id, const std::string& label = "thing") {
  return {id, "/pictures/" + id, label, Json{{"shelf", 7}}, "c0ffee"};
}

inline GalleryInfo make_info(int dim, const std::string& index_type = "exact",
                             const std::string& model = "3f9a12") {
  GalleryInfo info;
  info.model_id = model;
  info.dim = dim;
  info.index_type = index_type;
  return info;
}

/// What a gallery must behave like: a list in order of addition, searched in double precision.
class PlainGallery {
 public:
  void add(const std::string& id, std::vector<float> vector) {
    remove(id);
    rows_.emplace_back(id, std::move(vector));
  }
  bool remove(const std::string& id) {
    return std::erase_if(rows_, [&](const auto& row) { return row.first == id; }) > 0;
  }
  size_t size() const { return rows_.size(); }
  const std::vector<std::pair<std::string, std::vector<float>>>& rows() const { return rows_; }

  /// Cosines of all rows, highest first.
  std::vector<double> scores(std::span<const float> query) const {
    std::vector<double> out;
    for (const auto& [id, vector] : rows_) out.push_back(score(vector, query));
    std::sort(out.rbegin(), out.rend());
    return out;
  }
  double score_of(const std::string& id, std::span<const float> query) const {
    for (const auto& [name, vector] : rows_)
      if (name == id) return score(vector, query);
    ADD_FAILURE() << "'" << id << "' was found, but is not there";
    return -2;
  }

 private:
  static double score(std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t d = 0; d < a.size(); ++d) sum += double{a[d]} * double{b[d]};
    return sum;
  }
  std::vector<std::pair<std::string, std::vector<float>>> rows_;
};

}  // namespace kindred
