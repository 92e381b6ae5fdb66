// A positive against the negatives of its anchor, as a softmax: what nt_xent and n_pairs are made of.
//   for every pair (a, p): log(e^(scale s_p) + sum over negatives of e^(scale s_n)) - scale s_p
#pragma once

#include "trainer/losses/row_loss.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

struct InfoNceRule {
  float scale;

  struct State {
    LogSum negatives;
    float log_negatives = kLeftOut;
    double loss = 0, pull = 0;  // pull: summed probabilities that a positive's softmax gives to the negatives
    float positives = 0, active = 0;
  };
  static constexpr int kSweeps = 2;
  static constexpr bool kJoint = true;

  KINDRED_DEV void fold(const Row& row, const Pairs& pairs, int sweep, State& state) const {
    const float by = scale;
    if (sweep == 0) {
      const Pairs mine = pairs;
      state.negatives.add(row, pairs.count,
                          [=](int64_t i) { return mine.negative(i) ? by * mine.scores[i] : kLeftOut; });
      return;
    }
    const float log_negatives = state.negatives.value();
    state.log_negatives = log_negatives;
    if (log_negatives == kLeftOut) return;  // nothing to tell the positives from
    state.positives += pairs.positives(row, [](float) { return 1.0f; });
    state.active += pairs.positives(row, [=](float s) { return by * s < log_negatives ? 1.0f : 0.0f; });
    state.loss += pairs.positives(row, [=](float s) { return softplus(log_negatives - by * s); });
    state.pull += pairs.positives(row, [=](float s) { return sigmoid(log_negatives - by * s); });
  }

  /// Active: pairs in which the negatives together outweigh the positive.
  KINDRED_DEV RowTerms finish(State& it) const {
    return RowTerms::joint(static_cast<float>(it.loss), it.positives, it.active, it.positives);
  }

  KINDRED_DEV float slope(const State& it, float score, uint8_t mark) const {
    if (it.log_negatives == kLeftOut) return 0;
    if (mark == kPositivePair) return -scale * sigmoid(it.log_negatives - scale * score);
    return scale * static_cast<float>(it.pull) * expf(scale * score - it.log_negatives);
  }
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
