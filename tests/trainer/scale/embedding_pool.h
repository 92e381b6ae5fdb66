// A large pool of random embeddings on one rank, for measuring losses.
#pragma once

#include <cmath>
#include <memory>
#include <string>

#include "common/base/philox.h"
#include "trainer/losses/loss.h"

namespace kindred::test {

struct EmbeddingPool {
  Tensor embeddings, labels, ids;

  /// Four rows of a class, next to each other.
  EmbeddingPool(int64_t rows, int64_t dim)
      : embeddings(Shape{rows, dim}), labels(Shape{rows}, DType::i64), ids(Shape{rows}, DType::i64) {
    for (int64_t r = 0; r < rows; ++r) {
      Random random(1, {static_cast<uint64_t>(r), 0, 0});
      float* const row = embeddings.f32() + r * dim;
      double square = 0;
      for (int64_t d = 0; d < dim; ++d) {
        row[d] = static_cast<float>(random.uniform(-1, 1));
        square += static_cast<double>(row[d]) * static_cast<double>(row[d]);
      }
      for (int64_t d = 0; d < dim; ++d) row[d] /= static_cast<float>(std::sqrt(square));
      labels.data<int64_t>()[r] = r / 4, ids.data<int64_t>()[r] = r;
    }
  }

  EmbeddingBatch batch(int64_t tile_bytes) const {
    EmbeddingBatch batch{embeddings, labels, ids, embeddings, labels, ids};
    batch.tile_bytes = tile_bytes;
    return batch;
  }
};

/// A registered loss with its defaults.
inline std::unique_ptr<Loss> make_default_loss(const std::string& name) {
  Options options("test", "the losses' own options");
  for (const auto& [known, entry] : loss_registry().entries()) entry.make.declare(options);
  const char* const argv[] = {"test"};
  options.parse(1, argv);
  return loss_registry().get(name).make.make(options);
}

}  // namespace kindred::test
