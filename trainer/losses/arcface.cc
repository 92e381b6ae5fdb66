// ArcFace: softmax over cosines to class centres, in which the own class's angle t counts as t + margin.
// Past t = pi - margin, where cos(t + margin) would rise again, it goes on as cos t - margin sin(margin).
// With several centres a class, the nearest one counts: noisy samples gather around the others.
// Source: Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019; Deng et al., "Sub-center ArcFace", ECCV 2020. The
// straight-through gradient is that of insightface's arcface_torch, which turns cosines under no_grad.
#include <cmath>
#include <numbers>

#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

struct ArcMargin : CosineMargin {
  float cos_margin, sin_margin, drop;  // drop: margin sin(margin)
  bool easy, exact;
  static constexpr float kLeastSine2 = 1e-6f;  // at smaller angles the slope would grow without bound

  KINDRED_DEV Logit own(float cosine, int64_t) const {
    const bool bent = easy ? cosine > 0 : cosine > -cos_margin;
    if (!bent) return {easy ? cosine : cosine - drop, 1};
    const float square = 1 - cosine * cosine;
    const bool clamped = square <= kLeastSine2;
    const float sine = sqrtf(clamped ? kLeastSine2 : square);
    const float slope = cos_margin + (clamped ? 0 : sin_margin * cosine / sine);
    return {cosine * cos_margin - sine * sin_margin, exact ? slope : 1};
  }
};

class ArcFace : public MarginSoftmax<ArcFace> {
 public:
  static void declare_options(Options& options) {
    options.add("arcface.margin", 0.5, "angle in radians that is added between a row and its centre");
    options.add("arcface.easy_margin", false,
                "apply the margin only to rows within 90 degrees of their centre");
    options.add<std::string>("arcface.gradient", "exact",
                             "exact, or straight_through: as if the margin did not change the slope");
    options.add<int64_t>("arcface.sub_centres", 1, "centres of a class, of which the nearest counts");
    declare_softmax_options(options, "arcface", 64);
  }

  explicit ArcFace(const Options& options) : MarginSoftmax(options, spec(options)) {
    const double margin = options.get<double>("arcface.margin");
    require_option(options, "arcface.margin", margin >= 0 && margin < std::numbers::pi / 2, "in [0, pi/2)");
    margin_.cos_margin = static_cast<float>(std::cos(margin));
    margin_.sin_margin = static_cast<float>(std::sin(margin));
    margin_.drop = static_cast<float>(margin * std::sin(margin));
    margin_.easy = options.get<bool>("arcface.easy_margin");
    margin_.exact =
        choose_option<bool>(options, "arcface.gradient", {{"exact", true}, {"straight_through", false}});
  }

  ArcMargin margin(Stream&, Communicator&, const EmbeddingBatch&) const { return margin_; }

 private:
  static SoftmaxSpec spec(const Options& options) {
    SoftmaxSpec spec = softmax_spec(options, "arcface");
    spec.centres.per_class = sub_centres(options, "arcface.sub_centres");
    return spec;
  }

  ArcMargin margin_{};
};

KINDRED_LOSS("arcface", ArcFace, "softmax over class centres with an angular margin");

}  // namespace
}  // namespace kindred
