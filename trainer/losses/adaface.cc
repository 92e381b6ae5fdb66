// AdaFace: a margin that follows the quality of an image, which the norm of its embedding before L2 tells.
// With k = clip(h (norm - mean) / deviation, -1, 1), norms' mean and deviation being running ones over
// batches, the own class's cosine counts as
//   cos(t - m k) - (m + m k):
// a sharp image (k = 1) must come near its centre, a blurred one (k = -1) is let off if it is far already.
// No gradient flows through the norm.
// Source: Kim, Jain, Liu, "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022; norms are
// clipped to [0.001, 100] and the running numbers start at 20 and 100, as in the authors' code.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common/engine/launch.h"
#include "trainer/losses/angular_margin.h"

namespace kindred {
namespace {

struct AdaptiveMargin : CosineMargin {
  const float* quality;  // k of each row

  KINDRED_DEV Logit own(float cosine, int64_t r) const {
    const Logit logit = turned(cosine, 1, -margin * quality[r]);
    return {logit.value - margin * (1 + quality[r]), logit.slope};
  }
};

class AdaFace : public MarginSoftmax<AdaFace> {
 public:
  static void declare_options(Options& options) {
    options.add("adaface.margin", 0.4, "m: how far an image's quality moves its margin");
    options.add("adaface.concentration", 0.333, "h: quality per deviation of the norm");
    options.add("adaface.memory", 0.01, "share of the old mean and deviation of norms that is kept");
    declare_softmax_options(options, "adaface", 64);
  }

  explicit AdaFace(const Options& options)
      : MarginSoftmax(options, softmax_spec(options, "adaface")),
        margin_(options.get<double>("adaface.margin")),
        concentration_(options.get<double>("adaface.concentration")),
        memory_(options.get<double>("adaface.memory")) {
    require_option(options, "adaface.margin", margin_ >= 0 && margin_ <= 1, "in [0, 1]");
    require_option(options, "adaface.concentration", concentration_ >= 0, "at least 0");
    require_option(options, "adaface.memory", memory_ >= 0 && memory_ < 1, "in [0, 1)");
  }

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    MarginSoftmax::declare(parameters, dim, classes);
    mean_ = declare_number(parameters, "adaface.norm_mean", 20);
    deviation_ = declare_number(parameters, "adaface.norm_deviation", 100);
    parameters_ = &parameters;
  }

  bool reads_raw() const override { return true; }

  AdaptiveMargin margin(Stream& stream, Communicator&, const EmbeddingBatch& batch) {
    const std::vector<float> norms = norms_of(stream, batch.all_raw);
    const auto [mean, deviation] = running_numbers(norms);
    const bool all_rows = softmax_.centres().sharded();
    const auto first = static_cast<size_t>(all_rows ? 0 : batch.first_row);
    const int64_t rows = (all_rows ? batch.all_raw : batch.raw).shape()[0];
    std::vector<float> quality;
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      const double k = concentration_ * (static_cast<double>(norms[first + r]) - mean) / (deviation + 1e-3);
      quality.push_back(static_cast<float>(std::clamp(k, -1.0, 1.0)));
    }
    sized(stream, quality_, Shape{rows});
    stream.copy(quality_.raw(), quality.data(), quality_.bytes());
    stream.wait();
    return {{static_cast<float>(margin_)}, quality_.f32()};
  }

  std::vector<float> norms_of(Stream& stream, const Tensor& raw) {
    const int64_t rows = raw.shape()[0], dim = raw.shape()[1];
    const float* const all = raw.f32();
    float* const norms = sized(stream, norms_, Shape{rows}).f32();
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float* const from = all + r * dim;
          const float norm = sqrtf(row.sum(dim, [=](int64_t i) { return from[i] * from[i]; }));
          row.once([=] { norms[r] = norm < 1e-3f ? 1e-3f : norm > 100 ? 100 : norm; });
        },
        dim);
    std::vector<float> on_host(static_cast<size_t>(rows));
    stream.copy(on_host.data(), norms, norms_.bytes());
    stream.wait();
    return on_host;
  }

 private:
  static Param declare_number(ParameterSet& parameters, const char* name, double value) {
    ParamInfo info;
    info.name = name;
    info.file_shape = Shape{1};
    info.init = Init::value(value);
    info.trainable = false;
    return parameters.add(info);
  }

  /// Moves the running mean and deviation towards those of this batch, of all ranks; returns them. A batch
  /// that is not finite leaves them alone.
  std::pair<double, double> running_numbers(const std::vector<float>& norms) {
    double sum = 0, squares = 0;
    for (const float norm : norms) sum += static_cast<double>(norm);
    const auto n = static_cast<double>(norms.size());
    const double mean = sum / n;
    for (const float norm : norms) squares += std::pow(static_cast<double>(norm) - mean, 2);
    const auto moved = [&](Param param, double now) {
      const double old = static_cast<double>(parameters_->to_file_layout(param)[0]);
      const auto value = static_cast<float>(memory_ * old + (1 - memory_) * now);
      if (std::isfinite(value)) parameters_->set_from_file_layout(param, {&value, 1});
      return static_cast<double>(value);
    };
    return {moved(mean_, mean), moved(deviation_, std::sqrt(squares / std::max(1.0, n - 1)))};
  }

  const double margin_, concentration_, memory_;
  ParameterSet* parameters_ = nullptr;
  Param mean_, deviation_;
  Tensor norms_, quality_;
};

KINDRED_LOSS("adaface", AdaFace, "softmax over class centres with a margin by image quality");

}  // namespace
}  // namespace kindred
