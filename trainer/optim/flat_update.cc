#include "trainer/optim/flat_update.h"

#include <algorithm>
#include <cmath>

namespace kindred {

void declare_decay_rule(Options& options, const std::string& optimizer) {
  options.add(optimizer + ".decay_biases", false,
              "decay biases and learnable affine blocks too, as PaddleClas's recipes for convolutional "
              "networks do");
}

DecayRule decay_rule(const Options& options, const std::string& optimizer) {
  return options.get<bool>(optimizer + ".decay_biases") ? DecayRule::all_but_norms : DecayRule::weights;
}

FlatParameters::FlatParameters(ParameterSet& parameters, Stream& stream, DecayRule decay_rule)
    : parameters_(parameters) {
  KINDRED_ASSERT(parameters.frozen());
  using Rule = std::pair<float, float>;
  std::vector<Rule> rules{{1.0f, 0.0f}};
  std::vector<uint8_t> blocks(static_cast<size_t>((parameters.values().elements() + kBlock - 1) / kBlock));
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info(Param{i});
    if (!info.trainable || info.sharded) continue;
    KINDRED_ASSERT(info.offset % kBlock == 0);
    const Rule rule{static_cast<float>(info.lr_scale), decays(info, decay_rule) ? 1.0f : 0.0f};
    auto known = std::ranges::find(rules, rule);
    if (known == rules.end()) known = rules.insert(rules.end(), rule);
    const auto index = known - rules.begin();
    if (index > UINT8_MAX) fail(info.name, ": more than 256 different learning-rate scales in one network");
    const auto first = blocks.begin() + info.offset / kBlock;
    std::fill(first, first + (info.shape.elements() + kBlock - 1) / kBlock, static_cast<uint8_t>(index));
  }
  const auto count = [](const auto& list) { return static_cast<int64_t>(list.size()); };
  rule_of_block_ = make_tensor(stream, Shape{count(blocks)}, DType::u8);
  rules_ = make_tensor(stream, Shape{count(rules), 2});
  stream.copy(rule_of_block_.raw(), blocks.data(), rule_of_block_.bytes());
  stream.copy(rules_.raw(), rules.data(), rules_.bytes());
  stream.wait();
}

FlatParameters::View FlatParameters::view() const {
  return {parameters_.values().f32(), parameters_.gradients().f32(), rule_of_block_.data<uint8_t>(),
          rules_.f32(), parameters_.values().elements()};
}

void FlatParameters::begin_step(double learning_rate, double gradient_scale) {
  if (!std::isfinite(learning_rate) || !std::isfinite(gradient_scale)) {
    fail("step ", steps_done, ": learning rate ", learning_rate, " and gradient scale ", gradient_scale,
         " must be finite; nothing was changed");
  }
  ++steps_done;
  parameters_.touch();
}

}  // namespace kindred
