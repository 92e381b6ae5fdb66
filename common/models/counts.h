// How large a network is: the numbers that papers and `kindred-model info` give.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/engine/graph.h"

namespace kindred {

struct NetworkCounts {
  int64_t parameters = 0, buffers = 0;  // trainable elements, and those of running statistics
  int64_t macs = 0;                     // multiply-accumulates of the graph's batch
  /// The form of inference, where parallel branches are one convolution with a bias. As in published tables,
  /// a batch norm counts even where it goes into a convolution that has no branches.
  int64_t fused_parameters = 0, fused_macs = 0;
};
NetworkCounts count_network(const Graph& graph);

/// What nodes with one first name are: "stem", "stages.2", "head".
struct StageCounts {
  std::string name;
  Shape output;  // of its last node
  int64_t parameters = 0, macs = 0;
};
/// In the order of the graph; together they have all parameters and multiply-accumulates.
std::vector<StageCounts> count_stages(const Graph& graph);

}  // namespace kindred
