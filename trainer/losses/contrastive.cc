// Contrastive loss: positives nearer than one distance, negatives farther than another, each pair by itself.
//   [d - positive_margin]_+ for positives, [negative_margin - d]_+ for negatives; or half their squares.
// Sources: Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006
// (squared, euclidean); Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020 (the defaults).
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/distance.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
namespace {

enum class Divide { anchors, active, pairs };

struct ContrastiveRule {
  float positive_margin, negative_margin;
  Distance distance;
  bool square;
  Divide by;

  struct State {
    double positive = 0, negative = 0;
    float positives = 0, negatives = 0, active_positives = 0, active_negatives = 0;
  };
  static constexpr int kSweeps = 1;
  static constexpr bool kJoint = false;

  /// How far a pair is from where it should be, 0 or more.
  KINDRED_DEV float excess(float score, bool same) const {
    const float d = distance.of(score), v = same ? d - positive_margin : negative_margin - d;
    return v > 0 ? v : 0;
  }
  KINDRED_DEV float of(float excess) const { return square ? excess * excess / 2 : excess; }

  KINDRED_DEV void fold(const Row& row, const Pairs& pairs, int, State& state) const {
    const ContrastiveRule rule = *this;
    const auto one = [](float) { return 1.0f; };
    state.positives += pairs.positives(row, one);
    state.negatives += pairs.negatives(row, one);
    state.positive += pairs.positives(row, [=](float s) { return rule.of(rule.excess(s, true)); });
    state.negative += pairs.negatives(row, [=](float s) { return rule.of(rule.excess(s, false)); });
    state.active_positives +=
        pairs.positives(row, [=](float s) { return rule.excess(s, true) > 0 ? 1.0f : 0.0f; });
    state.active_negatives +=
        pairs.negatives(row, [=](float s) { return rule.excess(s, false) > 0 ? 1.0f : 0.0f; });
  }

  KINDRED_DEV float divisor(float active, float pairs) const {
    return by == Divide::anchors ? 1 : by == Divide::active ? active : pairs;
  }

  KINDRED_DEV RowTerms finish(State& it) const {
    return {static_cast<float>(it.positive),
            static_cast<float>(it.negative),
            divisor(it.active_positives, it.positives),
            divisor(it.active_negatives, it.negatives),
            it.active_positives + it.active_negatives,
            it.positives + it.negatives};
  }

  KINDRED_DEV float slope(const State&, float score, uint8_t mark) const {
    const bool same = mark == kPositivePair;
    const float v = excess(score, same), towards = same ? 1.0f : -1.0f;
    return v > 0 ? towards * (square ? v : 1) * distance.slope(score) : 0;
  }
};

class Contrastive : public RowLoss<ContrastiveRule> {
 public:
  static void declare_options(Options& options) {
    Distance::declare(options, "contrastive", "cosine");
    options.add("contrastive.positive_margin", 0.0, "distance below which positives are left alone");
    options.add("contrastive.negative_margin", 0.5, "distance above which negatives are left alone");
    options.add("contrastive.square", false, "half the square of what a pair is short of, not that itself");
    options.add<std::string>("contrastive.reduction", "anchors",
                             "divide by anchors, or positives and negatives each by active (those with a "
                             "loss) or pairs (all of them)");
    declare_pair_options(options, "contrastive", "all");
  }

  explicit Contrastive(const Options& options)
      : RowLoss(options, "contrastive", make_miner(options, "contrastive", Device::KINDRED_LAUNCH_DEVICE),
                {static_cast<float>(options.get<double>("contrastive.positive_margin")),
                 static_cast<float>(options.get<double>("contrastive.negative_margin")),
                 Distance::read(options, "contrastive"), options.get<bool>("contrastive.square"),
                 choose_option<Divide>(
                     options, "contrastive.reduction",
                     {{"anchors", Divide::anchors}, {"active", Divide::active}, {"pairs", Divide::pairs}})}) {
    for (const char* name : {"contrastive.positive_margin", "contrastive.negative_margin"}) {
      require_option(options, name, options.get<double>(name) >= 0, "at least 0");
    }
  }
};

KINDRED_LOSS("contrastive", Contrastive,
             "positives nearer than one distance, negatives farther than another");

}  // namespace
}  // namespace kindred
