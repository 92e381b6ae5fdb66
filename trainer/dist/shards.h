// Tensors whose rows the ranks share out (ParameterSet), as whole tensors in the memory of rank 0: that is
// how checkpoints hold them, so that any number of ranks can go on.
#pragma once

#include <vector>

#include "common/engine/communicator.h"

namespace kindred {

/// Rank 0 gets the first `rows` rows of the ranks' parts [ceil(rows / R), ...] of f32, one after the other,
/// as host values; the others get nothing. Collective; a few MiB at a time.
std::vector<float> gather_rows(Stream& stream, Communicator& communicator, const Tensor& mine, int64_t rows);

/// The way back: every rank fills its part from rank 0's `whole`, and the rows past the last with zeros.
void scatter_rows(Stream& stream, Communicator& communicator, const std::vector<float>& whole,
                  const Tensor& mine, int64_t rows);

}  // namespace kindred
