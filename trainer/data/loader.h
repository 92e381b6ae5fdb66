// Reads, decodes and augments batches ahead of the step, in worker threads with a bounded ring.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/tensor.h"
#include "trainer/data/dataset.h"
#include "trainer/data/sampler.h"
#include "trainer/data/transform.h"

namespace kindred {

struct Batch {
  int64_t epoch = 0, step = 0;
  Tensor images;                    // [B, H, W, 3] f32, normalised
  std::vector<int64_t> labels;      // [B]
  std::vector<int64_t> sample_ids;  // [B], of the pictures shown: a replaced one has its replacement's id
};

struct LoaderOptions {
  uint64_t seed = 0;
  int workers = 1;
  int depth = 3;                      // batches in the ring
  double max_broken_fraction = 0.01;  // of the data set, then the run stops
  bool cache = false;                 // keep decoded pictures in memory, up to cache_bytes
  int64_t cache_bytes = int64_t{2} << 30;
  ImageSpec image;
};

class Loader {
 public:
  /// `dataset` and `sampler` must live as long as the loader.
  Loader(const Dataset& dataset, const PkSampler& sampler, std::vector<std::unique_ptr<Transform>> transforms,
         LoaderOptions options, int rank);
  ~Loader();

  /// The next batch after the start point, crossing epochs. What is in it depends on (seed, epoch, step,
  /// rank) alone, never on workers, depth or cache. A broken picture is replaced by another of its class,
  /// chosen by a pure function of the sample id; it is counted, and named once in the log. Throws Error past
  /// the limit, and whatever else a worker met.
  Batch next();

  /// Where `next` begins, (0, 0) by default. Requires: called before the first `next`.
  void start(int64_t epoch, int64_t step);

  /// Broken pictures met so far, each counted once.
  int64_t broken() const;

  /// Seconds that `next` waited since the last call of this.
  double take_wait_seconds();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
