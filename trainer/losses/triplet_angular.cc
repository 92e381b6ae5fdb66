// Triplet loss on cosines with absolute targets, over each anchor's hardest positive p and hardest negative
// n:
//   [n - p + margin]_+ + absolute_weight * ([positive_target - p]_+ + [n - negative_target]_+), mean over all
//   anchors.
// An anchor without a positive has p = 1, its own score; one without a negative has only the middle term.
// Source: PaddleClas, TripletAngularMarginLoss (there each anchor must have as many positives as the others).
#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/pair_loss.h"

namespace kindred {
namespace {

/// One anchor's terms.
struct AngularTerms {
  float margin, absolute, positive_target, negative_target;
  bool paddle_compat;

  struct Of {
    float loss, pull, push;  // pull = -dL/dp, push = dL/dn
    bool satisfied;          // the negative is below its target
  };
  KINDRED_DEV Of of(const Partner& positive, const Partner& negative) const {
    const float p = positive.found() ? positive.score : 1;
    const float rank = negative.found() ? negative.score - p + margin : 0;
    const float below = positive_target - p;
    const float above = negative.found() ? negative.score - negative_target : 0;
    return {(rank > 0 ? rank : 0) + absolute * ((below > 0 ? below : 0) + (above > 0 ? above : 0)),
            (rank > 0 ? 1.0f : 0.0f) + (below > 0 ? absolute : 0),
            (rank > 0 ? 1.0f : 0.0f) + (above > 0 ? absolute : 0), negative.found() && above <= 0};
  }
};

class TripletAngular : public PairLoss {
 public:
  static void declare_options(Options& options) {
    options.add("triplet_angular.margin", 0.5, "how much higher the positive must score than the negative");
    options.add("triplet_angular.add_absolute", false, "also pull scores towards absolute targets");
    options.add("triplet_angular.absolute_weight", 1.0, "weight of the absolute terms");
    options.add("triplet_angular.positive_target", 0.9,
                "absolute terms: positives should score at least this");
    options.add("triplet_angular.negative_target", 0.5,
                "absolute terms: negatives should score at most this");
    options.add(
        "triplet_angular.paddle_compat", false,
        "report PaddleClas's number: it counts 1 for every anchor whose negative is below its target; "
        "gradients are the same");
    NoiseGuard::declare(options, "triplet_angular");
  }

  explicit TripletAngular(const Options& options)
      : PairLoss(options, "triplet_angular", nullptr),
        terms_{static_cast<float>(options.get<double>("triplet_angular.margin")),
               options.get<bool>("triplet_angular.add_absolute")
                   ? static_cast<float>(options.get<double>("triplet_angular.absolute_weight"))
                   : 0,
               static_cast<float>(options.get<double>("triplet_angular.positive_target")),
               static_cast<float>(options.get<double>("triplet_angular.negative_target")),
               options.get<bool>("triplet_angular.paddle_compat")} {
    require_option(options, "triplet_angular.margin", terms_.margin >= 0, "at least 0");
    require_option(options, "triplet_angular.absolute_weight",
                   options.get<double>("triplet_angular.absolute_weight") > 0, "more than 0");
    for (const char* name : {"triplet_angular.positive_target", "triplet_angular.negative_target"}) {
      require_option(options, name, std::abs(options.get<double>(name)) <= 1, "in [-1, 1]");
    }
  }

  double collapse_value() const override {
    return static_cast<double>(terms_.margin + terms_.absolute * (1 - terms_.negative_target));
  }

  void finish(Stream& stream, const MiningStep& step, RowTerms* all) override {
    const Partner *const positives = hardest().positives(), *const negatives = hardest().negatives();
    const AngularTerms terms = terms_;
    launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) {
      const AngularTerms::Of it = terms.of(positives[r], negatives[r]);
      const float surplus = terms.paddle_compat && it.satisfied ? terms.absolute : 0;
      all[r] = RowTerms::joint(it.loss + surplus, 1, it.loss > 0 ? 1.0f : 0.0f, 1);
    });
  }

  void gradient(Stream& stream, const ScoreTile& tile, const uint8_t*, PairScale scale,
                float* gradient) override {
    const Partner *const positives = hardest().positives(), *const negatives = hardest().negatives();
    const AngularTerms terms = terms_;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const AngularTerms::Of it = terms.of(positives[r], negatives[r]);
          const int64_t positive = positives[r].column, negative = negatives[r].column;
          row.each(tile.columns, [=](int64_t c) {
            const int64_t column = tile.first_column + c;
            const float slope = column == positive ? -it.pull : column == negative ? it.push : 0;
            gradient[r * tile.columns + c] = scale.positive * slope;
          });
        },
        tile.columns);
  }

 private:
  const AngularTerms terms_;
};

KINDRED_LOSS("triplet_angular", TripletAngular,
             "hardest triplets on cosines, with optional absolute targets");

}  // namespace
}  // namespace kindred
