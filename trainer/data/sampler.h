// Which samples make a batch: P classes with K images each, a pure function of (seed, epoch, step, rank), so
// that resuming needs no state and R ranks with batch B draw exactly what one rank with R*B draws.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/data/dataset.h"

namespace kindred {

class PkSampler {
 public:
  /// global_batch = P * K of all ranks together. Throws Error: fewer classes than P, a batch that K or
  /// `ranks` does not divide, and classes with fewer than two images (naming some).
  PkSampler(const Dataset& dataset, uint64_t seed, int64_t global_batch, int images_per_class, int ranks);
  ~PkSampler();

  /// Images / global_batch, at least 1.
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

  /// Sample ids of this rank's part, in order: rank r gets [r*B, (r+1)*B) of the global batch, which is P
  /// runs of K. Classes of a batch differ, and over an epoch their counts differ by at most one. The K images
  /// differ where the class has K; a smaller class gives each image equally often, to within one. Requires: 0
  /// <= step < steps_per_epoch(). Threads: safe.
  std::vector<int64_t> batch(int64_t epoch, int64_t step, int rank) const;

 private:
  struct Epoch;
  std::shared_ptr<const Epoch> plan(int64_t epoch) const;
  void append_images(int64_t epoch, int64_t label, int64_t round, std::vector<int64_t>& out) const;

  std::vector<std::vector<int64_t>> by_class_;
  uint64_t seed_;
  int64_t global_batch_;
  int images_per_class_, ranks_;
  int64_t steps_per_epoch_;

  struct Cache;  // the plan of the epoch asked for last
  std::unique_ptr<Cache> cache_;
};

}  // namespace kindred
