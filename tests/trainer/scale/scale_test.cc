// Pools that no score matrix would fit for: 65,536 x 65,536 scores would take 17 GB.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/trainer/scale/embedding_pool.h"

namespace kindred::test {
namespace {

constexpr int64_t kDim = 128, kTileBytes = int64_t{64} << 20;

struct Outcome {
  LossValue value;
  Tensor gradients;  // as anchors, and as references
};

Outcome run(const std::string& name, const EmbeddingPool& pool, int64_t tile_bytes) {
  const std::unique_ptr<Stream> stream = make_stream({});
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  const Tensor gradients(pool.embeddings.shape());
  const LossValue value =
      make_default_loss(name)->run(*stream, *communicator, pool.batch(tile_bytes), {gradients, gradients}, 1);
  return {value, gradients};
}

// Resident memory at its highest, in bytes.
int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

TEST(Scale, TilesOfALargePoolNeedLittleMemory) {
  const EmbeddingPool pool(65536, kDim);
  const int64_t before = peak_memory();
  const Outcome outcome = run("triplet_angular", pool, kTileBytes);
  const double megabytes = static_cast<double>(peak_memory() - before) / 1e6;
  std::printf("65536 x 65536: loss %.6f, %.0f MB beyond the embeddings, gradients included\n",
              outcome.value.loss, megabytes);
  EXPECT_LT(megabytes, 200);
  EXPECT_TRUE(std::isfinite(outcome.value.loss));
  EXPECT_GT(outcome.value.active_fraction, 0.9);
}

TEST(Scale, TilesEqualTheDensePath) {
  const EmbeddingPool pool(3072, kDim);
  for (const std::string name : {"triplet_angular", "triplet", "supcon", "multi_similarity"}) {
    SCOPED_TRACE(name);
    const Outcome dense = run(name, pool, int64_t{1} << 30), tiled = run(name, pool, int64_t{1} << 20);
    EXPECT_NEAR(tiled.value.loss, dense.value.loss, 1e-6 * dense.value.loss);
    EXPECT_NEAR(tiled.value.active_fraction, dense.value.active_fraction, 1e-12);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < dense.gradients.elements(); ++i) {
      const double one = double{dense.gradients.f32()[i]}, other = double{tiled.gradients.f32()[i]};
      difference += (one - other) * (one - other), size += one * one;
    }
    EXPECT_LT(std::sqrt(difference), 1e-6 * std::sqrt(size));
  }
}

}  // namespace
}  // namespace kindred::test
