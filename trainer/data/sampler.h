// Which samples make a batch: P classes with K images each, a pure function of (seed, epoch, step, rank), so that
// resuming needs no state and R ranks with batch B draw exactly what one rank with R*B draws.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/data/dataset.h"

namespace kindred {

class PkSampler {
 public:
  /// global_batch = P * K of all ranks together. Throws Error: fewer classes than P, a batch that K or `ranks` does
  /// not divide, and classes with fewer than two images (naming some).
  PkSampler(const Dataset& dataset, uint64_t seed, int64_t global_batch, int images_per_class, int ranks);

  int64_t steps_per_epoch() const;
  /// Sample ids of this rank's part, in order: rank r gets [r*B, (r+1)*B) of the global batch.
  std::vector<int64_t> batch(int64_t epoch, int64_t step, int rank) const;

 private:
  std::vector<std::vector<int64_t>> by_class_;
  uint64_t seed_;
  int64_t global_batch_;
  int images_per_class_, ranks_;
  int64_t steps_per_epoch_;
};

}  // namespace kindred
