// Plain softmax cross entropy over a last linear layer without bias, on the embeddings before L2: with
// model.bnneck the batch norm's output.
// Source of the smoothing: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016; of the
// features: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-identification", 2019.
#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

class Softmax : public MarginSoftmax<Softmax> {
 public:
  static void declare_options(Options& options) {
    options.add("softmax.raw", true, "read the embeddings before L2; false: unit rows");
    declare_softmax_options(options, "softmax", 1);
  }

  explicit Softmax(const Options& options)
      : MarginSoftmax(options, spec(options)), raw_(options.get<bool>("softmax.raw")) {}

  bool reads_raw() const override { return raw_; }
  CosineMargin margin(Stream&, Communicator&, const EmbeddingBatch&) const { return {}; }

 private:
  static SoftmaxSpec spec(const Options& options) {
    SoftmaxSpec spec = softmax_spec(options, "softmax");
    spec.centres.normalised = false;
    spec.centres.raw = options.get<bool>("softmax.raw");
    spec.centres.init_std = 0.001;  // as PaddleClas starts the classifier of PP-ShiTuV2
    return spec;
  }

  const bool raw_;
};

KINDRED_LOSS("softmax", Softmax, "cross entropy of a linear classifier, with label smoothing");

}  // namespace
}  // namespace kindred
