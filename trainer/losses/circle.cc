// Circle loss on pairs, mean over the anchors that have both kinds:
//   softplus(logsum over positives of -scale a_p (s - (1 - m)) + logsum over negatives of scale a_n (s - m)),
//   a_p = [1 + m - s]_+, a_n = [s + m]_+.
// As in the paper the weights a are held constant when it is differentiated. They agree with the exact
// gradient where s_p = 1 - m and s_n = m, and go on pushing at s_p = 1 and s_n = 0, where it vanishes.
// Source: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
namespace {

struct CircleRule {
  float margin, scale;
  bool exact;

  struct State {
    LogSum positives, negatives;
    float log_positives = kLeftOut, log_negatives = kLeftOut, pull = 0;  // pull: sigmoid of their sum
  };
  static constexpr int kSweeps = 1;
  static constexpr bool kJoint = true;

  KINDRED_DEV static float above_zero(float x) { return x > 0 ? x : 0; }
  KINDRED_DEV float positive_logit(float s) const {
    return -scale * above_zero(1 + margin - s) * (s - (1 - margin));
  }
  KINDRED_DEV float negative_logit(float s) const { return scale * above_zero(s + margin) * (s - margin); }

  KINDRED_DEV void fold(const Row& row, const Pairs& the_pairs, int, State& state) const {
    const CircleRule rule = *this;
    const Pairs pairs = the_pairs;
    state.positives.add(row, pairs.count, [=](int64_t i) {
      return pairs.positive(i) ? rule.positive_logit(pairs.scores[i]) : kLeftOut;
    });
    state.negatives.add(row, pairs.count, [=](int64_t i) {
      return pairs.negative(i) ? rule.negative_logit(pairs.scores[i]) : kLeftOut;
    });
  }

  /// Active: anchors whose loss is above that of a satisfied one, ln 2.
  KINDRED_DEV RowTerms finish(State& it) const {
    it.log_positives = it.positives.value(), it.log_negatives = it.negatives.value();
    if (it.log_positives == kLeftOut || it.log_negatives == kLeftOut) return RowTerms::joint(0, 0, 0, 0);
    const float both = it.log_positives + it.log_negatives;
    it.pull = sigmoid(both);
    return RowTerms::joint(softplus(both), 1, both > 0 ? 1.0f : 0.0f, 1);
  }

  KINDRED_DEV float slope(const State& it, float s, uint8_t mark) const {
    if (it.pull == 0) return 0;
    if (mark == kPositivePair) {
      const float weight = above_zero(1 + margin - s),
                  force = exact ? (weight > 0 ? 2 * (1 - s) : 0) : weight;
      return -it.pull * expf(positive_logit(s) - it.log_positives) * scale * force;
    }
    const float weight = above_zero(s + margin), force = exact ? (weight > 0 ? 2 * s : 0) : weight;
    return it.pull * expf(negative_logit(s) - it.log_negatives) * scale * force;
  }
};

class Circle : public RowLoss<CircleRule> {
 public:
  static void declare_options(Options& options) {
    options.add("circle.margin", 0.4, "m: positives should score 1 - m, negatives m");
    options.add("circle.scale", 80.0, "multiplies the weighted distances from those targets");
    options.add<std::string>("circle.gradient", "detached",
                             "detached: weights are constants, as in the paper; or exact");
    declare_pair_options(options, "circle", "all");
  }

  explicit Circle(const Options& options)
      : RowLoss(options, "circle", make_miner(options, "circle", Device::KINDRED_LAUNCH_DEVICE),
                {static_cast<float>(options.get<double>("circle.margin")),
                 static_cast<float>(options.get<double>("circle.scale")),
                 choose_option<bool>(options, "circle.gradient", {{"detached", false}, {"exact", true}})}) {
    require_option(options, "circle.margin",
                   options.get<double>("circle.margin") > 0 && options.get<double>("circle.margin") < 1,
                   "in (0, 1)");
    require_option(options, "circle.scale", options.get<double>("circle.scale") > 0, "more than 0");
  }
};

KINDRED_LOSS("circle", Circle, "pairs weighted by how far they are from their targets");

}  // namespace
}  // namespace kindred
