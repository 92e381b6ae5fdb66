// Triplet loss on cosines with absolute targets, over each anchor's hardest positive p and hardest negative
// n:
//   [n - p + margin]_+ + absolute_weight * ([positive_target - p]_+ + [n - negative_target]_+), mean over all
//   anchors.
// An anchor without a positive has p = 1, its own score; one without a negative has only the middle term.
// Source: PaddleClas, TripletAngularMarginLoss (there each anchor must have as many positives as the others).
#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/score_matrix.h"
#include "trainer/miners/hardest.h"

namespace kindred {
namespace {

class TripletAngular : public Loss {
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
  }

  explicit TripletAngular(const Options& options)
      : margin_(options.get<double>("triplet_angular.margin")),
        absolute_weight_(options.get<bool>("triplet_angular.add_absolute")
                             ? options.get<double>("triplet_angular.absolute_weight")
                             : 0),
        positive_target_(options.get<double>("triplet_angular.positive_target")),
        negative_target_(options.get<double>("triplet_angular.negative_target")),
        paddle_compat_(options.get<bool>("triplet_angular.paddle_compat")) {
    require_option(options, "triplet_angular.margin", margin_ >= 0, "at least 0");
    require_option(options, "triplet_angular.absolute_weight",
                   options.get<double>("triplet_angular.absolute_weight") > 0, "more than 0");
    for (const char* name : {"triplet_angular.positive_target", "triplet_angular.negative_target"}) {
      require_option(options, name, std::abs(options.get<double>(name)) <= 1, "in [-1, 1]");
    }
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    const ScoreTile tile = scores_.compute(stream, batch);
    hardest_.begin(stream, tile.rows);
    hardest_.fold(stream, tile);
    write_rows(stream, tile);

    const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
    const auto anchors = static_cast<double>(batch.all_embeddings.shape()[0]);
    scores_.add_gradients(stream, batch, weight / anchors, gradients);
    const double surplus = paddle_compat_ ? absolute_weight_ * sums[kSatisfied] : 0;
    return {(sums[kLoss] + surplus) / anchors, sums[kActive] / anchors,
            share(sums[kPositiveScore], sums[kPositives]), share(sums[kNegativeScore], sums[kNegatives])};
  }

  /// Writes the row sums and dL/dS, not yet divided.
  void write_rows(Stream& stream, const ScoreTile& tile) {
    float* const all_sums = sums_.begin(stream, tile.rows, kNumbers);
    float* const all_gradients = scores_.gradient().f32();
    const Partner *const positives = hardest_.positives(), *const negatives = hardest_.negatives();
    const auto margin = static_cast<float>(margin_), absolute = static_cast<float>(absolute_weight_);
    const auto positive_target = static_cast<float>(positive_target_);
    const auto negative_target = static_cast<float>(negative_target_);
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = tile.columns;
          const float* const scores = tile.scores + r * n;
          float* const gradient = all_gradients + r * n;
          row.each(n, [=](int64_t c) { gradient[c] = 0; });
          // A score that is not finite was chosen by nobody: it must show all the same.
          const float unfit = row.sum(n, [=](int64_t c) { return scores[c] - scores[c]; });
          row.once([=] {
            const Partner positive = positives[r], negative = negatives[r];
            const float p = positive.found() ? positive.score : 1;
            const float rank = negative.found() ? negative.score - p + margin : 0;
            const float below = positive_target - p;
            const float above = negative.found() ? negative.score - negative_target : 0;
            const float pull = (rank > 0 ? 1.0f : 0.0f) + (below > 0 ? absolute : 0);
            const float push = (rank > 0 ? 1.0f : 0.0f) + (above > 0 ? absolute : 0);
            const float loss =
                (rank > 0 ? rank : 0) + absolute * ((below > 0 ? below : 0) + (above > 0 ? above : 0));
            if (positive.found()) gradient[positive.column] = -pull;
            if (negative.found()) gradient[negative.column] = push;
            float* const sums = all_sums + r * kNumbers;
            sums[kLoss] = loss + unfit, sums[kActive] = loss > 0 ? 1.0f : 0.0f;
            sums[kSatisfied] = negative.found() && above <= 0 ? 1.0f : 0.0f;
            sums[kPositiveScore] = positive.score, sums[kPositives] = positive.found() ? 1.0f : 0.0f;
            sums[kNegativeScore] = negative.score, sums[kNegatives] = negative.found() ? 1.0f : 0.0f;
          });
        },
        2 * tile.columns);
  }

 private:
  /// What each row adds up. kSatisfied: anchors whose negative is below its target.
  enum Number {
    kLoss,
    kActive,
    kSatisfied,
    kPositiveScore,
    kPositives,
    kNegativeScore,
    kNegatives,
    kNumbers
  };

  const double margin_, absolute_weight_, positive_target_, negative_target_;
  const bool paddle_compat_;
  ScoreMatrix scores_;
  HardestPairs hardest_;
  RowSums sums_;
};

KINDRED_LOSS("triplet_angular", TripletAngular,
             "hardest triplets on cosines, with optional absolute targets");

}  // namespace
}  // namespace kindred
