// ArcFace: softmax over cosines to class centres, in which the own class's angle t counts as t + margin:
//   logit_y = scale cos(t + margin), logit_j = scale cos_j; loss = cross entropy, mean over all ranks' rows.
// Past t = pi - margin, where cos(t + margin) would rise again, it goes on as cos t - margin sin(margin).
// Source: Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019.
#include <cmath>
#include <numbers>

#include "common/base/option_rules.h"
#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "trainer/losses/score_matrix.h"

namespace kindred {
namespace {

/// The own class's cosine with the margin taken off.
struct AngularMargin {
  float cos_margin, sin_margin, past;  // past: the cosine of pi - margin
  float drop;                          // margin sin(margin)
  bool easy, exact;
  static constexpr float kLeastSine2 = 1e-6f;  // at smaller angles the slope would grow without bound

  KINDRED_DEV bool bent(float cosine) const { return easy ? cosine > 0 : cosine > past; }
  KINDRED_DEV float sine2(float cosine) const {
    const float square = 1 - cosine * cosine;
    return square > kLeastSine2 ? square : kLeastSine2;
  }
  KINDRED_DEV float of(float cosine) const {
    if (bent(cosine)) return cosine * cos_margin - sqrtf(sine2(cosine)) * sin_margin;
    return easy ? cosine : cosine - drop;
  }
  KINDRED_DEV float slope(float cosine) const {
    if (!exact || !bent(cosine)) return 1;
    const bool clamped = 1 - cosine * cosine <= kLeastSine2;
    return cos_margin + (clamped ? 0 : sin_margin * cosine / sqrtf(sine2(cosine)));
  }
};

class ArcFace : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add("arcface.margin", 0.5, "angle in radians that is added between a row and its centre");
    options.add("arcface.scale", 64.0, "multiplies cosines before the softmax");
    options.add("arcface.easy_margin", false,
                "apply the margin only to rows within 90 degrees of their centre");
    options.add<std::string>("arcface.gradient", "exact",
                             "exact, or straight_through: as if the margin did not change the slope");
    options.add("arcface.label_smoothing", 0.0, "share of the target that is spread over all classes");
  }

  explicit ArcFace(const Options& options)
      : margin_(options.get<double>("arcface.margin")),
        scale_(options.get<double>("arcface.scale")),
        smoothing_(options.get<double>("arcface.label_smoothing")),
        easy_(options.get<bool>("arcface.easy_margin")),
        exact_(choose_option<bool>(options, "arcface.gradient",
                                   {{"exact", true}, {"straight_through", false}})) {
    require_option(options, "arcface.margin", margin_ >= 0 && margin_ < std::numbers::pi / 2, "in [0, pi/2)");
    require_option(options, "arcface.scale", scale_ > 0, "more than 0");
    require_option(options, "arcface.label_smoothing", smoothing_ >= 0 && smoothing_ < 1, "in [0, 1)");
  }

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    ParamInfo info;
    info.name = "arcface.centres";
    info.file_shape = Shape{classes, dim};
    info.init =
        Init::normal_std(std::sqrt(2.0 / static_cast<double>(classes + dim)));  // Glorot and Bengio, 2010
    centres_ = parameters.add(info);
    parameters_ = &parameters;
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    KINDRED_ASSERT(parameters_ != nullptr);
    const Tensor centres = parameters_->value(centres_);
    const int64_t rows = batch.embeddings.shape()[0], dim = centres.shape()[1], classes = centres.shape()[0];
    check_labels(stream, batch.labels, classes);
    normalise_centres(stream, centres);
    sized(stream, scores_, Shape{rows, classes});
    gemm(stream, Transpose::no, Transpose::yes, rows, classes, dim, 1, batch.embeddings.f32(), dim,
         directions_.f32(), dim, 0, scores_.f32(), classes);
    turn_scores_into_gradients(stream, batch.labels.data<int64_t>());

    const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
    const auto anchors = static_cast<double>(batch.all_embeddings.shape()[0]);
    const auto alpha = static_cast<float>(weight / anchors);
    gemm(stream, Transpose::no, Transpose::no, rows, dim, classes, alpha, scores_.f32(), classes,
         directions_.f32(), dim, 1, gradients.anchors.f32(), dim);
    sized(stream, direction_gradients_, Shape{classes, dim});
    gemm(stream, Transpose::yes, Transpose::no, classes, dim, rows, alpha, scores_.f32(), classes,
         batch.embeddings.f32(), dim, 0, direction_gradients_.f32(), dim);
    add_centre_gradients(stream, parameters_->gradient(centres_));
    return {sums[kLoss] / anchors, sums[kActive] / anchors, sums[kOwnScore] / anchors,
            share(sums[kOtherScore], sums[kOthers])};
  }

  void check_labels(Stream& stream, const Tensor& labels, int64_t classes) {
    std::vector<int64_t> on_host(static_cast<size_t>(labels.elements()));
    stream.copy(on_host.data(), labels.raw(), labels.bytes());
    stream.wait();
    for (const int64_t label : on_host) {
      if (label < 0 || label >= classes)
        fail("arcface: label ", label, " is not one of the ", classes, " classes");
    }
  }

  /// directions = centres / |centres|, and 1 / |centres| for the way back.
  void normalise_centres(Stream& stream, const Tensor& centres) {
    const int64_t dim = centres.shape()[1];
    const float* const from = centres.f32();
    float* const to = sized(stream, directions_, centres.shape()).f32();
    float* const inverse_norms = sized(stream, inverse_norms_, Shape{centres.shape()[0]}).f32();
    launch_rows(
        stream, centres.shape()[0],
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float square = row.sum(dim, [=](int64_t i) { return from[r * dim + i] * from[r * dim + i]; });
          const float inverse = 1 / sqrtf(square > 1e-24f ? square : 1e-24f);
          row.each(dim, [=](int64_t i) { to[r * dim + i] = from[r * dim + i] * inverse; });
          row.once([=] { inverse_norms[r] = inverse; });
        },
        dim);
  }

  /// Writes the row sums and, in place of the scores, dL/dS, not yet divided by the rows.
  void turn_scores_into_gradients(Stream& stream, const int64_t* labels) {
    const int64_t rows = scores_.shape()[0], n = scores_.shape()[1];
    float* const all_sums = sums_.begin(stream, rows, kNumbers);
    float* const all_scores = scores_.f32();
    const auto margin = static_cast<float>(margin_), scale = static_cast<float>(scale_);
    const AngularMargin target{
        std::cos(margin), std::sin(margin), -std::cos(margin), margin * std::sin(margin), easy_, exact_};
    const auto everyone = static_cast<float>(smoothing_ / static_cast<double>(n));
    const auto own = static_cast<float>(1 - smoothing_);
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const scores = all_scores + r * n;
          const int64_t label = labels[r];
          const float cosine = scores[label], own_logit = scale * target.of(cosine);
          const auto logit = [=](int64_t c) { return c == label ? own_logit : scale * scores[c]; };
          const float other = row.max(n, [=](int64_t c) { return c == label ? kLeftOut : scores[c]; });
          const float largest = own_logit > scale * other ? own_logit : scale * other;
          const float total = row.sum(n, [=](int64_t c) { return expf(logit(c) - largest); });
          const float spread =
              everyone > 0 ? everyone * row.sum(n, [=](int64_t c) { return largest - logit(c); }) : 0.0f;
          const float loss = logf(total) + own * (largest - own_logit) + spread;
          const float slope = target.slope(cosine);
          row.each(n, [=](int64_t c) {
            const float wanted = everyone + (c == label ? own : 0);
            const float gradient = scale * (expf(logit(c) - largest) / total - wanted);
            scores[c] = c == label ? gradient * slope : gradient;
          });
          row.once([=] {
            float* const sums = all_sums + r * kNumbers;
            sums[kLoss] = loss, sums[kActive] = own_logit <= scale * other ? 1.0f : 0.0f,
            sums[kOwnScore] = cosine;
            sums[kOtherScore] = n > 1 ? other : 0, sums[kOthers] = n > 1 ? 1.0f : 0.0f;
          });
        },
        8 * n);
  }

  /// Through the normalisation: only what is at right angles to a centre moves it.
  void add_centre_gradients(Stream& stream, const Tensor& centre_gradients) {
    const int64_t dim = directions_.shape()[1];
    const float *const directions = directions_.f32(), *const inverse_norms = inverse_norms_.f32();
    const float* const from = direction_gradients_.f32();
    float* const to = centre_gradients.f32();
    launch_rows(
        stream, directions_.shape()[0],
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float* const direction = directions + r * dim;
          const float along = row.sum(dim, [=](int64_t i) { return from[r * dim + i] * direction[i]; });
          row.each(dim, [=](int64_t i) {
            to[r * dim + i] += (from[r * dim + i] - along * direction[i]) * inverse_norms[r];
          });
        },
        dim);
  }

 private:
  /// What each row adds up. kActive: rows whose own logit, margin taken off, is not the largest.
  enum Number { kLoss, kActive, kOwnScore, kOtherScore, kOthers, kNumbers };

  const double margin_, scale_, smoothing_;
  const bool easy_, exact_;
  ParameterSet* parameters_ = nullptr;
  Param centres_;
  Tensor scores_, directions_, inverse_norms_, direction_gradients_;
  RowSums sums_;
};

KINDRED_LOSS("arcface", ArcFace, "softmax over class centres with an angular margin");

}  // namespace
}  // namespace kindred
