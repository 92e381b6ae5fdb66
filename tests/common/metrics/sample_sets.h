// Small vector sets for the tests of metrics: random ones, and ones whose scores can be prescribed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "common/base/philox.h"
#include "common/metrics/retrieval.h"

namespace kindred {

/// Owns what a VectorSet looks at.
struct SampleSet {
  int dim = 0;
  std::vector<float> vectors;
  std::vector<int64_t> labels, ids;

  VectorSet view() const { return {vectors, dim, labels, ids}; }
  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  void push(std::vector<float> vector, int64_t label, int64_t id) {
    double squares = 0;
    for (const float x : vector) squares += double{x} * x;
    for (const float x : vector) vectors.push_back(static_cast<float>(x / std::sqrt(squares)));
    labels.push_back(label);
    ids.push_back(id);
  }
};

/// Vectors near one centre per class. With `coarse` the coordinates are small whole numbers: many scores tie.
inline SampleSet random_set(int64_t n, int dim, int64_t classes, uint64_t seed, bool coarse,
                            double noise = 1) {
  SampleSet set;
  set.dim = dim;
  for (int64_t i = 0; i < n; ++i) {
    Random sample(seed, {0, static_cast<uint64_t>(i), 0});
    const int64_t label = sample.below(classes);
    Random centre(seed, {1, static_cast<uint64_t>(label), 0});
    std::vector<float> vector(static_cast<size_t>(dim));
    for (float& x : vector) {
      x = static_cast<float>(centre.normal() + noise * sample.normal());
      if (coarse) x = std::round(x / 2);
    }
    vector[0] += coarse ? 3.0f : 0.0f;  // never the zero vector
    set.push(vector, label, i);
  }
  return set;
}

/// A query (1, 0) against gallery vectors (s, sqrt(1 - s^2)): the scores are exactly the given ones.
struct ScoredPairs {
  SampleSet query, gallery;
};
inline ScoredPairs scored_pairs(const std::vector<float>& positive, const std::vector<float>& negative) {
  ScoredPairs pairs;
  pairs.query = {2, {1, 0}, {1}, {-1}};
  pairs.gallery.dim = 2;
  for (const auto* scores : {&positive, &negative}) {
    for (const float s : *scores) {
      pairs.gallery.vectors.push_back(s);
      pairs.gallery.vectors.push_back(std::sqrt(std::max(0.0f, 1 - s * s)));
      pairs.gallery.labels.push_back(scores == &positive ? 1 : 0);
      pairs.gallery.ids.push_back(pairs.gallery.size());
    }
  }
  return pairs;
}

}  // namespace kindred
