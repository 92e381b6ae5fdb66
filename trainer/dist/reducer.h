// Sums parameter gradients over ranks, bucket by bucket, while backward still runs.
// Source of the scheme: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training",
// VLDB 2020; here the flat gradient buffer is laid out so that buckets are plain slices of it.
#pragma once

#include <cstdint>

#include "common/engine/communicator.h"
#include "common/engine/parameters.h"

namespace kindred {

class GradientReducer {
 public:
  /// All three must outlive the reducer; the parameters must be frozen. bucket_bytes >= 4.
  GradientReducer(const ParameterSet& parameters, Communicator& communicator, Stream& stream,
                  int64_t bucket_bytes = int64_t{4} << 20);

  /// Starts a step: nothing is summed yet.
  void begin() { reduced_ = 0; }

  /// gradients()[0, final_elements) of this rank are final: sums every full bucket in there. Collective: all
  /// ranks run the same program and so make the same calls. Fits Program::ReadyFn.
  void ready(int64_t final_elements);

  /// Everything is final: sums what is left.
  void finish() { reduce_to(gradients_.elements()); }

 private:
  void reduce_to(int64_t end);

  Tensor gradients_;
  Communicator& communicator_;
  Stream& stream_;
  const int64_t bucket_;  // elements
  int64_t reduced_ = 0;   // gradients [0, reduced_) hold sums over ranks
};

}  // namespace kindred
