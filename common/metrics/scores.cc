#include "common/metrics/scores.h"

#include <cmath>
#include <vector>

#include "common/base/error.h"

namespace kindred {

namespace {

typedef float Lanes __attribute__((vector_size(64)));
constexpr int kLanes = 16, kPanel = 2 * kLanes, kRows = 4;  // 4 x 2 accumulators hide the latency of an FMA

/// One dimension of kPanel gallery vectors.
struct PanelRow {
  Lanes low, high;
};

/// Transposes `columns` (at most kPanel) gallery vectors; the rest of the panel is zero.
void pack_panel(const float* gallery, int64_t columns, int dim, PanelRow* panel) {
  float* out = reinterpret_cast<float*>(panel);
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t j = 0; j < kPanel; ++j) out[d * kPanel + j] = j < columns ? gallery[j * dim + d] : 0.0f;
  }
}

/// Scores of R queries with one panel; writes `columns` of each.
template <int R>
void score_panel(const float* queries, const PanelRow* panel, int dim, int64_t columns, float* scores,
                 int64_t stride) {
  Lanes low[R] = {}, high[R] = {};
  for (int d = 0; d < dim; ++d) {
    for (int r = 0; r < R; ++r) {
      const float query = queries[r * static_cast<int64_t>(dim) + d];
      low[r] += query * panel[d].low;
      high[r] += query * panel[d].high;
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int64_t j = 0; j < columns; ++j) {
      scores[r * stride + j] = j < kLanes ? low[r][j] : high[r][j - kLanes];
    }
  }
}

}  // namespace

void score_tile(const float* queries, int64_t rows, const float* gallery, int64_t columns, int dim,
                float* scores) {
  std::vector<PanelRow> panel(static_cast<size_t>(dim));
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t width = std::min<int64_t>(kPanel, columns - j);
    pack_panel(gallery + j * dim, width, dim, panel.data());
    int64_t i = 0;
    for (; i + kRows <= rows; i += kRows) {
      score_panel<kRows>(queries + i * dim, panel.data(), dim, width, scores + i * columns + j, columns);
    }
    for (; i < rows; ++i) {
      score_panel<1>(queries + i * dim, panel.data(), dim, width, scores + i * columns + j, columns);
    }
  }
}

void check_vectors(const VectorSet& set, std::string_view what) {
  if (set.dim < 1) fail(what, ": vectors have dimension ", set.dim, "; expected at least 1");
  if (set.vectors.size() != set.labels.size() * static_cast<size_t>(set.dim) ||
      set.ids.size() != set.labels.size()) {
    fail(what, ": ", set.vectors.size(), " floats, ", set.labels.size(), " labels and ", set.ids.size(),
         " ids do not make vectors of dimension ", set.dim);
  }
  parallel_for(
      set.size(),
      [&](int64_t i) {
        float squares = 0;
        for (const float x :
             set.vectors.subspan(static_cast<size_t>(i * set.dim), static_cast<size_t>(set.dim))) {
          squares += x * x;
        }
        if (!std::isfinite(squares)) fail(what, ": vector ", i, " is not finite");
        if (squares > 1.01f)
          fail(what, ": vector ", i, " has norm ", std::sqrt(squares), "; expected a unit vector");
      },
      1024);
}

void check_comparable(const VectorSet& queries, const VectorSet& gallery) {
  check_vectors(queries, "queries");
  check_vectors(gallery, "gallery");
  if (queries.dim != gallery.dim) {
    fail("queries have dimension ", queries.dim, ", the gallery has ", gallery.dim);
  }
}

}  // namespace kindred
