// Multi-similarity loss, mean over all anchors, on pairs that its miner finds informative:
//   log(1 + sum over positives of e^(-alpha (s - base))) / alpha
//   + log(1 + sum over negatives of e^(beta (s - base))) / beta
// Source: Wang, Han, Huang, Dong, Scott, "Multi-Similarity Loss with General Pair Weighting", CVPR 2019.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
namespace {

struct MultiSimilarityRule {
  float alpha, beta, base;

  struct State {
    LogSum positives{0, 1}, negatives{0, 1};  // the 1 of both sums is a logit of 0
    float log_positives = 0, log_negatives = 0, pairs = 0;
  };
  static constexpr int kSweeps = 1;
  static constexpr bool kJoint = true;

  KINDRED_DEV void fold(const Row& row, const Pairs& the_pairs, int, State& state) const {
    const MultiSimilarityRule rule = *this;
    const Pairs pairs = the_pairs;
    state.positives.add(row, pairs.count, [=](int64_t i) {
      return pairs.positive(i) ? rule.alpha * (rule.base - pairs.scores[i]) : kLeftOut;
    });
    state.negatives.add(row, pairs.count, [=](int64_t i) {
      return pairs.negative(i) ? rule.beta * (pairs.scores[i] - rule.base) : kLeftOut;
    });
    state.pairs += row.sum(pairs.count, [=](int64_t i) { return pairs.marks[i] != 0 ? 1.0f : 0.0f; });
  }

  /// Active: anchors with pairs. Those without count as anchors all the same.
  KINDRED_DEV RowTerms finish(State& it) const {
    it.log_positives = it.positives.value(), it.log_negatives = it.negatives.value();
    return RowTerms::joint(it.log_positives / alpha + it.log_negatives / beta, 1, it.pairs > 0 ? 1.0f : 0.0f,
                           1);
  }

  KINDRED_DEV float slope(const State& it, float score, uint8_t mark) const {
    return mark == kPositivePair ? -expf(alpha * (base - score) - it.log_positives)
                                 : expf(beta * (score - base) - it.log_negatives);
  }
};

class MultiSimilarity : public RowLoss<MultiSimilarityRule> {
 public:
  static void declare_options(Options& options) {
    options.add("multi_similarity.alpha", 2.0, "how sharply positives are told apart");
    options.add("multi_similarity.beta", 50.0, "how sharply negatives are told apart");
    options.add("multi_similarity.base", 0.5, "the score that pairs are measured from");
    declare_pair_options(options, "multi_similarity", "multi_similarity");
  }

  explicit MultiSimilarity(const Options& options)
      : RowLoss(options, "multi_similarity",
                make_miner(options, "multi_similarity", Device::KINDRED_LAUNCH_DEVICE),
                {static_cast<float>(options.get<double>("multi_similarity.alpha")),
                 static_cast<float>(options.get<double>("multi_similarity.beta")),
                 static_cast<float>(options.get<double>("multi_similarity.base"))}) {
    for (const char* name : {"multi_similarity.alpha", "multi_similarity.beta"}) {
      require_option(options, name, options.get<double>(name) > 0, "more than 0");
    }
    require_option(options, "multi_similarity.base",
                   std::abs(options.get<double>("multi_similarity.base")) <= 1, "in [-1, 1]");
  }
};

KINDRED_LOSS("multi_similarity", MultiSimilarity, "soft thresholds on all informative pairs of an anchor");

}  // namespace
}  // namespace kindred
