// Inference pass: ops that can be one become one. A chain of two (a batch norm folded into its convolution,
// activations, residual adds), or parallel branches and what combines them (re-parameterised convolutions).
// Which can is the ops' own business: Op::fused_with and Op::merged_with.
#pragma once

#include "common/engine/graph.h"

namespace kindred {

/// Fuses nodes with the one node that reads them, branches first, until no more can be. Values from before
/// are void. A value that two nodes read, or that the caller reads, stays. Returns how many nodes went away.
int fuse(Graph& graph);

}  // namespace kindred
