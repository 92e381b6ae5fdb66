// One triplet per anchor, of the mean distance of its positives, weighted by softmax(d), and of its
// negatives, weighted by softmax(-d): the hard ones count most, and no single outlier decides. Weights are
// differentiated too.
// Source: Ristani, Tomasi, "Features for Multi-Target Multi-Camera Tracking and Re-Identification", CVPR
// 2018.
#pragma once

#include "trainer/losses/swapped_triplets.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

struct WeightedTripletRule {
  TripletRule triplet;

  struct State {
    LogSum positives, negatives;
    float log_positives = kLeftOut, log_negatives = kLeftOut;
    double positive = 0, negative = 0;  // the weighted mean distances
    float pull = 0;
  };
  static constexpr int kSweeps = 2;
  static constexpr bool kJoint = true;

  KINDRED_DEV void fold(const Row& row, const Pairs& the_pairs, int sweep, State& state) const {
    const Distance distance = triplet.distance;
    const Pairs pairs = the_pairs;
    if (sweep == 0) {
      state.positives.add(row, pairs.count, [=](int64_t i) {
        return pairs.positive(i) ? distance.of(pairs.scores[i]) : kLeftOut;
      });
      state.negatives.add(row, pairs.count, [=](int64_t i) {
        return pairs.negative(i) ? -distance.of(pairs.scores[i]) : kLeftOut;
      });
      return;
    }
    const float log_positives = state.log_positives = state.positives.value();
    const float log_negatives = state.log_negatives = state.negatives.value();
    state.positive += pairs.positives(row, [=](float s) {
      const float d = distance.of(s);
      return d * expf(d - log_positives);
    });
    state.negative += pairs.negatives(row, [=](float s) {
      const float d = distance.of(s);
      return d * expf(-d - log_negatives);
    });
  }

  KINDRED_DEV RowTerms finish(State& it) const {
    if (it.log_positives == kLeftOut || it.log_negatives == kLeftOut) return RowTerms::joint(0, 0, 0, 0);
    const float v = static_cast<float>(it.positive - it.negative) + triplet.margin, active = v > 0 ? 1 : 0;
    it.pull = triplet.penalty.slope(v);
    return RowTerms::joint(triplet.penalty.of(v), triplet.divisor(1, active), active, 1);
  }

  KINDRED_DEV float slope(const State& it, float score, uint8_t mark) const {
    if (it.pull == 0) return 0;
    const float d = triplet.distance.of(score), outer = it.pull * triplet.distance.slope(score);
    return mark == kPositivePair
               ? outer * expf(d - it.log_positives) * (1 + d - static_cast<float>(it.positive))
               : -outer * expf(-d - it.log_negatives) * (1 - d + static_cast<float>(it.negative));
  }
};

class WeightedTripletLoss : public RowLoss<WeightedTripletRule> {
 public:
  using RowLoss::RowLoss;
  double divisor(double sum) const override { return rule_.triplet.divide(sum); }
};

/// The loss for the miner that option LOSS.miner names.
inline std::unique_ptr<Loss> make_triplet_loss(const Options& options, const std::string& loss,
                                               const TripletRule& rule) {
  std::unique_ptr<Miner> miner = make_miner(options, loss, Device::KINDRED_LAUNCH_DEVICE, true);
  if (miner->weighs() && rule.swap) {
    fail_usage(options.source(loss + ".swap"), ": ", loss, ".swap needs a miner that chooses pairs; ", loss,
               ".miner is '", options.get<std::string>(loss + ".miner"), "'");
  }
  if (rule.swap) return std::make_unique<SwappedTripletLoss>(options, loss, std::move(miner), rule);
  if (miner->weighs())
    return std::make_unique<WeightedTripletLoss>(options, loss, std::move(miner), WeightedTripletRule{rule});
  return std::make_unique<TripletLoss>(options, loss, std::move(miner), rule);
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
