// Which of cuDNN's engines run the convolutions of a network, how much workspace they want, and what to know
// of their arithmetic; for a device of this machine or one that a file describes. No cuDNN names here: a
// build without CUDA has these functions too, and they say so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/engine/convolution.h"
#include "common/engine/device_description.h"

namespace kindred {

/// What a plan must keep to. Of those that do, cuDNN's first choice is taken.
struct PlanRules {
  bool deterministic = true;
  /// f32 only: products of inputs rounded to 10 bits of mantissa, on tensor cores.
  bool tf32 = false;
  int64_t most_workspace_bytes = int64_t{1} << 30;
};

struct PlanFacts {
  int64_t engine = -1;  // cuDNN's global index: differs from version to version
  int64_t workspace_bytes = 0;
  std::vector<std::string> notes;  // "tensor_core", "winograd", ...: cuDNN's numerical notes
};

/// Whether this build has cuDNN.
bool plans_available();

/// "cuDNN 9.19.0"; "no cuDNN" where it is not built in.
std::string plans_library();

/// One plan for each convolution, in their order. Of a description: runs without a driver. Throws Error: no
/// engine keeps to the rules (with the whole problem, the device and what was dropped why), cuDNN refuses the
/// device, or this build has no cuDNN.
std::vector<PlanFacts> plan_convolutions(std::span<const Convolution> convolutions,
                                         const DeviceDescription& device, const PlanRules& rules);
/// The same for a device of this machine.
std::vector<PlanFacts> plan_convolutions(std::span<const Convolution> convolutions, Device device,
                                         const PlanRules& rules);

}  // namespace kindred
