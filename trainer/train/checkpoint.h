// Checkpoints: a folder `step-N` that appears under its name only when it is complete and on disk.
//   model.safetensors  the network, as kindred-model, kindred-index and kindred-serve read it
//   state.safetensors  the flat buffers: values, running statistics, optimiser slots; and what ranks share
//                      out (class centres), whole, so that any number of ranks can go on
//   checkpoint.json    step, layout, SHA-256 of both; written last
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/engine/communicator.h"
#include "common/engine/parameters.h"
#include "common/models/model.h"
#include "trainer/losses/memory_bank.h"
#include "trainer/optim/optimizer.h"

namespace kindred {

/// Numbers beside the tensors.
struct CheckpointState {
  int64_t step = 0;             // steps done
  int64_t steps_per_epoch = 0;  // of the run that wrote it
  int64_t global_batch = 0;
  uint64_t seed = 0;
  int world_size = 1, threads = 1;  // of each rank: bits repeat for the same of both
  DType precision = DType::f32;     // that the run computes in
};

/// A tensor that the ranks share out by rows, whole, on the host of rank 0; no values elsewhere.
struct WholeTensor {
  std::string name;
  Shape shape;
  std::vector<float> values;
};

/// Sharded parameters and their optimiser slots, brought to rank 0 and back to the ranks. Collective.
std::vector<WholeTensor> gather_sharded(Stream& stream, Communicator& communicator,
                                        const ParameterSet& parameters, Optimizer& optimizer);
void scatter_sharded(Stream& stream, Communicator& communicator, const std::vector<WholeTensor>& wholes,
                     ParameterSet& parameters, Optimizer& optimizer);

/// Writes `folder`/step-N, then removes all but the newest `keep`. wholes: of gather_sharded; more: further
/// tensors on the host. Throws Error; what was there before stays.
void write_checkpoint(const std::string& folder, const CheckpointState& state, const ModelConfig& config,
                      const ParameterSet& parameters, Optimizer& optimizer,
                      const std::vector<WholeTensor>& wholes, const NamedTensors& more, int keep);

/// The newest complete and undamaged checkpoint inside `folder`; damaged ones are named in the log and passed
/// over.
std::optional<std::string> newest_checkpoint(const std::string& folder);

/// Fills parameters, optimiser and the tensors of `more`, and `wholes` for scatter_sharded. Throws Error:
/// damaged, or written for another network, optimiser or memory bank.
CheckpointState read_checkpoint(const std::string& checkpoint, ParameterSet& parameters, Optimizer& optimizer,
                                std::vector<WholeTensor>& wholes, const NamedTensors& more);

}  // namespace kindred
