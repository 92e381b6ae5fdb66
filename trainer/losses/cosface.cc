// CosFace: softmax over cosines to class centres, in which the own class's counts as cos t - margin.
// Source: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018.
#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

class CosFace : public MarginSoftmax<CosFace> {
 public:
  static void declare_options(Options& options) {
    options.add("cosface.margin", 0.35, "taken off the cosine between a row and its centre");
    declare_softmax_options(options, "cosface", 64);
  }

  explicit CosFace(const Options& options)
      : MarginSoftmax(options, softmax_spec(options, "cosface")),
        margin_(options.get<double>("cosface.margin")) {
    require_option(options, "cosface.margin", margin_ >= 0 && margin_ < 2, "in [0, 2)");
  }

  CosineMargin margin(Stream&, Communicator&, const EmbeddingBatch&) const {
    return {static_cast<float>(margin_)};
  }

 private:
  const double margin_;
};

KINDRED_LOSS("cosface", CosFace, "softmax over class centres with a margin on cosines");

}  // namespace
}  // namespace kindred
