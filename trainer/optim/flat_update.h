// What optimisers share: which weight decay and learning-rate scale apply to a value, the walk over the flat
// block and over the rows of sharded parameters, and the state that a checkpoint holds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "common/engine/parameters.h"
#include "common/engine/stream.h"
#include "trainer/optim/optimizer.h"

namespace kindred {

/// Which parameters weight decay pulls to zero.
enum class DecayRule : uint8_t {
  weights,        // of convolutions and linear layers: not norms, biases, affine blocks, tables
  all_but_norms,  // as in the recipes of PaddleClas for convolutional networks
};
inline bool decays(const ParamInfo& info, DecayRule rule) {
  return info.decay || (rule == DecayRule::all_but_norms && !info.exempt);
}

/// "sgd.decay_biases" and the like: the rule that an optimiser's option asks for.
void declare_decay_rule(Options& options, const std::string& optimizer);
DecayRule decay_rule(const Options& options, const std::string& optimizer);

/// The flat buffers with their rules. Parameters begin at multiples of 16 elements, so a byte for every 16
/// names the rule: a quarter of a per cent of the memory that a step moves.
class FlatParameters {
 public:
  static constexpr int64_t kBlock = 16;

  FlatParameters(ParameterSet& parameters, Stream& stream, DecayRule decay_rule);

  /// What a kernel reads, copied into it by value.
  struct View {
    float* values;
    const float* gradients;
    const uint8_t* rule_of_block;
    const float* rules;  // (learning-rate scale, 1 where weight decay applies) of each rule
    int64_t elements;
  };
  View view() const;

  /// Counts a step and tells kernels that values moved. Throws Error unless both are finite.
  void begin_step(double learning_rate, double gradient_scale);

  ParameterSet& parameters() const { return parameters_; }

  int64_t steps_done = 0;

 private:
  ParameterSet& parameters_;
  Tensor rule_of_block_, rules_;
};

/// K slots beside every value, and the walk over all values that a step changes.
template <int K>
class SlottedUpdate {
 public:
  /// names: of the slots, as a checkpoint calls them.
  SlottedUpdate(ParameterSet& parameters, Stream& stream, DecayRule rule,
                const std::array<const char*, K>& names)
      : names_(names), decay_rule_(rule), flat_(parameters, stream, rule) {
    for (Tensor& slot : slots_) slot = make_tensor(stream, parameters.values().shape());
    for (const Param param : parameters.sharded()) {
      for (Tensor& slot : shard_slots_[param.id]) slot = make_tensor(stream, parameters.info(param).shape);
    }
  }

  /// A kernel's view of one value: where it and its slots lie and what applies to it.
  struct Place {
    float* value;
    float gradient;
    float* slot[K];
    float rate;   // learning rate times the parameter's scale
    float decay;  // 1 where weight decay applies, else 0
  };

  /// Where the values' slots begin.
  struct Bases {
    float* slot[K];
    KINDRED_DEV Place place(float* values, int64_t i, float gradient, float rate, float decay) const {
      Place place{values + i, gradient, {}, rate, decay};
      for (int k = 0; k < K; ++k) place.slot[k] = slot[k] + i;
      return place;
    }
  };

  /// Calls rule(Place) for every value of the flat block and for the rows of sharded parameters that have a
  /// gradient. Rule is copied into kernels. Throws Error unless both numbers are finite.
  /// make_rule(steps_done) is called once the step is counted.
  template <class MakeRule>
  void step(Stream& stream, double learning_rate, double gradient_scale, const MakeRule& make_rule) {
    flat_.begin_step(learning_rate, gradient_scale);
    const auto rate = static_cast<float>(learning_rate), scale = static_cast<float>(gradient_scale);
    const auto rule = make_rule(static_cast<double>(flat_.steps_done));
    update_flat(stream, rate, scale, rule);
    for (const Param param : flat_.parameters().sharded()) update_rows(stream, param, rate, scale, rule);
  }

  template <class Rule>
  void update_flat(Stream& stream, float rate, float scale, const Rule& rule) {
    const FlatParameters::View flat = flat_.view();
    const Bases slots = bases(slots_);
    launch_each(stream, flat.elements, [=] KINDRED_DEV(int64_t i) {
      const float* const own = flat.rules + 2 * flat.rule_of_block[i / FlatParameters::kBlock];
      rule(slots.place(flat.values, i, flat.gradients[i] * scale, rate * own[0], own[1]));
    });
  }

  template <class Rule>
  void update_rows(Stream& stream, Param param, float rate, float scale, const Rule& rule) {
    const ParamInfo& info = flat_.parameters().info(param);
    const RowGradients& rows = flat_.parameters().row_gradients(param);
    if (!rows.rows) return;
    const int64_t width = info.shape.elements() / info.shape[0];
    const Bases slots = bases(shard_slots_.at(param.id));
    const int64_t* const row_of = rows.rows.template data<int64_t>();
    const float* const gradients = rows.values.f32();
    float* const values = flat_.parameters().value(param).f32();
    const float own_rate = rate * static_cast<float>(info.lr_scale),
                decay = decays(info, decay_rule_) ? 1.0f : 0.0f;
    launch_each(stream, rows.rows.elements() * width, [=] KINDRED_DEV(int64_t i) {
      rule(slots.place(values, row_of[i / width] * width + i % width, gradients[i] * scale, own_rate, decay));
    });
  }

  std::vector<std::pair<std::string, Tensor>> slots() const {
    std::vector<std::pair<std::string, Tensor>> named;
    for (int k = 0; k < K; ++k) named.emplace_back(names_[at(k)], slots_[at(k)]);
    return named;
  }
  std::vector<ShardSlot> shard_slots() const {
    std::vector<ShardSlot> named;
    for (const auto& [id, slots] : shard_slots_)
      for (int k = 0; k < K; ++k) named.push_back({names_[at(k)], Param{id}, slots[at(k)]});
    return named;
  }
  int64_t steps_done() const { return flat_.steps_done; }
  void set_steps_done(int64_t steps) { flat_.steps_done = steps; }

 private:
  using Slots = std::array<Tensor, K>;
  static constexpr size_t at(int k) { return static_cast<size_t>(k); }

  static Bases bases(const Slots& slots) {
    Bases bases{};
    for (int k = 0; k < K; ++k) bases.slot[k] = slots[at(k)].f32();
    return bases;
  }

  const std::array<const char*, K> names_;
  const DecayRule decay_rule_;
  FlatParameters flat_;
  Slots slots_;
  std::map<int, Slots> shard_slots_;  // by Param::id
};

/// The sum of squares of n device floats, by "cpu" or "cuda"; waits for the stream. What gradient_norm stands
/// on.
using SquareSumFn = std::function<double(Stream&, const float* values, int64_t n)>;
Registry<SquareSumFn>& square_sum_registry();

}  // namespace kindred
