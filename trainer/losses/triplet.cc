// Triplet loss: an anchor's positive must be nearer than its negative, by a margin.
// Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, eq. 3.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/weighted_triplets.h"

namespace kindred {
namespace {

struct Triplet {
  static void declare_options(Options& options) {
    options.add("triplet.margin", 0.3, "how much nearer the positive must be than the negative");
    Distance::declare(options, "triplet", "euclidean");
    options.add("triplet.soft", false, "softplus in place of the hinge: never quite satisfied");
    options.add("triplet.swap", false,
                "take the negative's distance from the positive where that is the nearer one");
    options.add<std::string>(
        "triplet.reduction", "active",
        "divide by active (triplets with a loss), all (triplets chosen) or nothing: sum");
    PairLoss::declare_pair_options(options, "triplet", "batch_hard");
  }

  static std::unique_ptr<Loss> make(const Options& options) {
    const double margin = options.get<double>("triplet.margin");
    require_option(options, "triplet.margin", margin >= 0, "at least 0");
    return make_triplet_loss(
        options, "triplet",
        {static_cast<float>(margin),
         Distance::read(options, "triplet"),
         {options.get<bool>("triplet.soft")},
         choose_option<TripletMean>(
             options, "triplet.reduction",
             {{"active", TripletMean::active}, {"all", TripletMean::all}, {"sum", TripletMean::none}}),
         options.get<bool>("triplet.swap")});
  }
};

KINDRED_LOSS("triplet", Triplet, "the positive must be nearer than the negative, by a margin");

}  // namespace
}  // namespace kindred
