// All convolutions that a network asks the vendor's library for.
#pragma once

#include <vector>

#include "common/engine/convolution.h"
#include "common/engine/graph.h"

namespace kindred {

struct NetworkConvolution {
  Convolution convolution;
  int uses = 0;            // in how many nodes
  std::string first_node;  // the first of them
};

/// The dense and grouped convolutions of a graph in `dtype`, each problem once, in the order of their first
/// nodes. training: all three passes, as far as gradients are wanted. Pointwise ones are among them;
/// depthwise ones have kernels of our own and are not.
std::vector<NetworkConvolution> network_convolutions(const Graph& graph, DType dtype, bool training);

}  // namespace kindred
