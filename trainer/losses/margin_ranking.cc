// Margin ranking loss: max(0, -(x1 - x2) + margin) of an anchor's scores x1 with a positive and x2 with a
// negative that a miner chose for it; mean over all of them, those without a loss included.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/weighted_triplets.h"

namespace kindred {
namespace {

struct MarginRanking {
  static void declare_options(Options& options) {
    options.add("margin_ranking.margin", 0.0, "how much higher the positive must score than the negative");
    options.add<std::string>("margin_ranking.reduction", "mean", "mean or sum");
    PairLoss::declare_pair_options(options, "margin_ranking", "batch_hard");
  }

  static std::unique_ptr<Loss> make(const Options& options) {
    const double margin = options.get<double>("margin_ranking.margin");
    require_option(options, "margin_ranking.margin", margin >= 0, "at least 0");
    return make_triplet_loss(
        options, "margin_ranking",
        {static_cast<float>(margin),
         {Distance::cosine},
         {},
         choose_option<TripletMean>(options, "margin_ranking.reduction",
                                    {{"mean", TripletMean::all}, {"sum", TripletMean::none}})});
  }
};

KINDRED_LOSS("margin_ranking", MarginRanking, "the positive must score higher than the negative");

}  // namespace
}  // namespace kindred
