// Time and memory of losses on pairs as the pool grows, scored at once (dense) and by tiles, as CSV:
//   mining_bench [largest pool, default 16384] [loss, default triplet_angular]
// One rank, embeddings of length 128, four images of a class. Dense stops where scores would take 2 GB.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/counting_stream.h"
#include "tests/trainer/scale/embedding_pool.h"

namespace kindred {
namespace {

constexpr int64_t kDenseLimit = int64_t{2} << 30;

void measure(const std::string& name, const test::EmbeddingPool& pool, const char* mode, int64_t tile_bytes) {
  test::CountingStream stream;
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  const std::unique_ptr<Loss> loss = test::make_default_loss(name);
  const EmbeddingBatch batch = pool.batch(tile_bytes);
  const Tensor anchors(pool.embeddings.shape()), references(pool.embeddings.shape());
  const auto begin = std::chrono::steady_clock::now();
  const LossValue value = loss->run(stream, *communicator, batch, {anchors, references}, 1);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%s,%lld,%s,%.4f,%.1f,%.6f\n", name.c_str(), static_cast<long long>(batch.labels.elements()),
              mode, seconds, static_cast<double>(stream.peak_bytes()) / 1e6, value.loss);
  std::fflush(stdout);
}

void run(int64_t largest, const std::string& name) {
  std::printf("loss,pool,mode,seconds,megabytes,value\n");
  for (int64_t rows = 1024; rows <= largest; rows *= 2) {
    const test::EmbeddingPool pool(rows, 128);
    if (5 * rows * rows <= kDenseLimit) measure(name, pool, "dense", int64_t{1} << 40);
    measure(name, pool, "tiled", int64_t{64} << 20);
  }
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  try {
    kindred::run(argc > 1 ? std::atoll(argv[1]) : 16384, argc > 2 ? argv[2] : "triplet_angular");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
