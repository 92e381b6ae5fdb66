// How long a training step takes at least: every op at the peak of a device's arithmetic or of its memory,
// whichever is slower. Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
#pragma once

#include "common/engine/device_description.h"
#include "common/engine/graph.h"

namespace kindred {

struct PassTime {
  double seconds = 0;
  double flops = 0, bytes = 0;
  double arithmetic_seconds = 0;  // of those seconds, where arithmetic is the slower
};

struct StepTime {
  PassTime forward, backward;
};

/// Of a graph in training, after set_precision. An op's inputs, output and parameters pass once through
/// memory, and in backward also their gradients, the output's once for each product that reads it. What an op
/// must read twice (batch norm: statistics, then values), launches, and waiting are not counted: published
/// training speeds of convolutional networks are near half of what this promises.
StepTime roofline(const Graph& graph, const DeviceDescription& device);

}  // namespace kindred
