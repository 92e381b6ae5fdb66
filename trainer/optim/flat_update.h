// What optimisers share: which weight decay and learning-rate scale apply to an element of the flat buffers,
// and the state that a checkpoint holds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/option_rules.h"
#include "common/engine/parameters.h"
#include "common/engine/stream.h"
#include "trainer/optim/optimizer.h"

namespace kindred {

/// The flat buffers with their rules. Parameters begin at multiples of 16 elements, so a byte for every 16
/// names the rule: a quarter of a per cent of the memory that a step moves.
class FlatParameters {
 public:
  static constexpr int64_t kBlock = 16;

  FlatParameters(ParameterSet& parameters, Stream& stream);

  /// What a kernel reads, copied into it by value.
  struct View {
    float* values;
    const float* gradients;
    const uint8_t* rule_of_block;
    const float* rules;  // (learning-rate scale, 1 where weight decay applies) of each rule
    int64_t elements;
  };
  View view() const;

  /// A zeroed f32 buffer in the order of the values.
  Tensor make_slot(Stream& stream) const { return make_tensor(stream, parameters_.values().shape()); }

  /// Counts a step and tells kernels that values moved. Throws Error unless both are finite.
  void begin_step(double learning_rate, double gradient_scale);

  int64_t steps_done = 0;

 private:
  ParameterSet& parameters_;
  Tensor rule_of_block_, rules_;
};

/// The sum of squares of n device floats, by "cpu" or "cuda"; waits for the stream. What gradient_norm stands
/// on.
using SquareSumFn = std::function<double(Stream&, const float* values, int64_t n)>;
Registry<SquareSumFn>& square_sum_registry();

}  // namespace kindred
