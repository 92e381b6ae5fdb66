// NT-Xent: every positive pair against the anchor's negatives, as a softmax over scores / temperature. Other
// positives of the anchor take no part in a pair's softmax. Mean over the positive pairs of all ranks.
// Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning", ICML 2020, eq. 1.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/info_nce.h"

namespace kindred {
namespace {

class NtXent : public RowLoss<InfoNceRule> {
 public:
  static void declare_options(Options& options) {
    options.add("nt_xent.temperature", 0.07, "divides scores before the softmax");
    declare_pair_options(options, "nt_xent", "all");
  }
  explicit NtXent(const Options& options)
      : RowLoss(options, "nt_xent", make_miner(options, "nt_xent", Device::KINDRED_LAUNCH_DEVICE),
                {1 / static_cast<float>(options.get<double>("nt_xent.temperature"))}) {
    require_option(options, "nt_xent.temperature", options.get<double>("nt_xent.temperature") >= 1e-3,
                   "at least 0.001");
  }
};

KINDRED_LOSS("nt_xent", NtXent, "softmax of every positive pair against the anchor's negatives");

}  // namespace
}  // namespace kindred
