// Supervised contrastive loss: for every anchor the mean over its positives p of
//   log(sum over all others of e^(s / temperature)) - s_p / temperature,
// times temperature / base_temperature; mean over the anchors that have positives.
// Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
namespace {

struct SupConRule {
  float scale, weight;  // 1 / temperature, temperature / base temperature

  struct State {
    LogSum others;
    double positive_logits = 0;
    float log_others = 0, positives = 0;
  };
  static constexpr int kSweeps = 1;
  static constexpr bool kJoint = true;

  KINDRED_DEV void fold(const Row& row, const Pairs& the_pairs, int, State& state) const {
    const float by = scale;
    const Pairs pairs = the_pairs;
    state.others.add(row, pairs.count,
                     [=](int64_t i) { return pairs.marks[i] != 0 ? by * pairs.scores[i] : kLeftOut; });
    state.positive_logits += pairs.positives(row, [=](float s) { return by * s; });
    state.positives += pairs.positives(row, [](float) { return 1.0f; });
  }

  /// Active: anchors that learn, which are those with a positive.
  KINDRED_DEV RowTerms finish(State& it) const {
    if (it.positives == 0) return RowTerms::joint(0, 0, 0, 1);
    it.log_others = it.others.value();
    const float mean = static_cast<float>(it.positive_logits) / it.positives;
    return RowTerms::joint(weight * (it.log_others - mean), 1, 1, 1);
  }

  KINDRED_DEV float slope(const State& it, float score, uint8_t mark) const {
    if (it.positives == 0) return 0;
    const float wanted = mark == kPositivePair ? 1 / it.positives : 0;
    return weight * scale * (expf(scale * score - it.log_others) - wanted);
  }
};

class SupCon : public RowLoss<SupConRule> {
 public:
  static void declare_options(Options& options) {
    options.add("supcon.temperature", 0.07, "divides scores before the softmax");
    options.add("supcon.base_temperature", 0.07, "the loss is multiplied by temperature / base_temperature");
    declare_pair_options(options, "supcon", "all");
  }

  explicit SupCon(const Options& options)
      : RowLoss(options, "supcon", make_miner(options, "supcon", Device::KINDRED_LAUNCH_DEVICE),
                {1 / static_cast<float>(options.get<double>("supcon.temperature")),
                 static_cast<float>(options.get<double>("supcon.temperature") /
                                    options.get<double>("supcon.base_temperature"))}) {
    for (const char* name : {"supcon.temperature", "supcon.base_temperature"}) {
      require_option(options, name, options.get<double>(name) >= 1e-3, "at least 0.001");
    }
  }
};

KINDRED_LOSS("supcon", SupCon, "softmax over all other samples, mean over an anchor's positives");

}  // namespace
}  // namespace kindred
