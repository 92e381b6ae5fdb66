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
  std::vector<int64_t> sample_ids;  // [B]
};

struct LoaderOptions {
  uint64_t seed = 0;
  int workers = 1;
  int depth = 3;                    // batches in the ring
  double max_broken_fraction = 0.01;// of the data set, then the run stops
  ImageSpec image;
};

class Loader {
 public:
  Loader(const Dataset& dataset, const PkSampler& sampler, std::vector<std::unique_ptr<Transform>> transforms,
         LoaderOptions options, int rank);
  ~Loader();

  /// The next batch after the start point, crossing epochs. A broken picture is replaced by another of its class,
  /// chosen by a pure function of the sample id; it is counted, and named once in the log. Throws Error past the limit.
  Batch next();
  /// Where `next` begins; called before the first `next`.
  void start(int64_t epoch, int64_t step);

  int64_t broken() const;
  /// Seconds that `next` waited since the last call of this.
  double take_wait_seconds();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
