// Circle loss over class centres: the farther a score is from where it should be, the harder it is pulled.
//   own: a (s - (1 - m)), a = [1 + m - s]_+;   others: a (s - m), a = [s + m]_+;   m: the margin.
// As in the paper, no gradient flows through a. Where it does (gradient = exact), the pull fades at s = 1 and
// s = 0.
// Source: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020.
#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

struct CircleLogits {
  float margin;
  bool detached;

  KINDRED_DEV Logit own(float score, int64_t) const {
    const float a = 1 + margin - score;
    if (a <= 0) return {0, 0};
    return {a * (score - (1 - margin)), detached ? a : 2 * (1 - score)};
  }
  KINDRED_DEV Logit other(float score) const {
    const float a = score + margin;
    if (a <= 0) return {score - score, 0};
    return {a * (score - margin), detached ? a : 2 * score};
  }
};

class CircleClass : public MarginSoftmax<CircleClass> {
 public:
  static void declare_options(Options& options) {
    options.add("circle_class.margin", 0.35, "how near 1 the own class's cosine should come, and others' 0");
    options.add<std::string>("circle_class.gradient", "detached",
                             "detached: none flows through a; or exact: the value's own slope");
    declare_softmax_options(options, "circle_class", 64);
  }

  explicit CircleClass(const Options& options)
      : MarginSoftmax(options, softmax_spec(options, "circle_class")),
        margin_(options.get<double>("circle_class.margin")),
        detached_(
            choose_option<bool>(options, "circle_class.gradient", {{"detached", true}, {"exact", false}})) {
    require_option(options, "circle_class.margin", margin_ >= 0 && margin_ < 1, "in [0, 1)");
  }

  CircleLogits margin(Stream&, Communicator&, const EmbeddingBatch&) const {
    return {static_cast<float>(margin_), detached_};
  }

 private:
  const double margin_;
  const bool detached_;
};

KINDRED_LOSS("circle_class", CircleClass, "circle loss over class centres");

}  // namespace
}  // namespace kindred
