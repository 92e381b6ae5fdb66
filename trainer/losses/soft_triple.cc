// SoftTriple: softmax over classes of several centres each. A class's score is the mean of its centres' under
// softmax(s / gamma), the own class's is less by a margin; and centres of one class are drawn together, so
// that the spare ones merge:
//   L = cross entropy of scale (S - margin [own]) + tau / (C K (K - 1)) sum over pairs t < s of one class of
//       sqrt(2 + 1e-5 - 2 w_t w_s).
// Source: Qian et al., "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling", ICCV 2019, with the
// numbers of the authors' code.
#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

class SoftTriple : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add<int64_t>("soft_triple.centres", 10, "centres of a class");
    options.add("soft_triple.gamma", 0.1, "temperature of the mean over a class's centres");
    options.add("soft_triple.margin", 0.01, "taken off the own class's score");
    options.add("soft_triple.tau", 0.2, "weight of what draws the centres of a class together");
    declare_softmax_options(options, "soft_triple", 20);
  }

  explicit SoftTriple(const Options& options)
      : per_class_(sub_centres(options, "soft_triple.centres")),
        margin_(options.get<double>("soft_triple.margin")),
        tau_(options.get<double>("soft_triple.tau")),
        softmax_(options, spec(options)) {
    require_option(options, "soft_triple.margin", margin_ >= 0 && margin_ < 2, "in [0, 2)");
    require_option(options, "soft_triple.tau", tau_ >= 0, "at least 0");
  }

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    softmax_.centres().declare(parameters, dim, classes);
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    LossValue value = softmax_.run(stream, communicator, batch, gradients, weight,
                                   CosineMargin{static_cast<float>(margin_)});
    if (tau_ > 0 && per_class_ > 1) value.loss += draw_together(stream, communicator, weight);
    softmax_.centres().finish(stream);
    return value;
  }

  /// The second term, and its gradient into the directions': of replicated centres this rank's share of it.
  double draw_together(Stream& stream, Communicator& communicator, double weight) {
    const ClassCentres& centres = softmax_.centres();
    const int64_t dim = centres.directions().shape()[1], per_class = per_class_;
    const auto k = static_cast<double>(per_class);
    const double factor = tau_ / (softmax_.classes() * k * (k - 1));
    const double ranks = centres.sharded() ? 1 : static_cast<double>(communicator.size());
    const auto alpha = static_cast<float>(weight * factor / ranks);
    const float* const all = centres.directions().f32();
    float* const to = centres.direction_gradients().f32();
    // A rank may hold no class: its one row stays 0.
    stream.zero(sized(stream, distances_, Shape{std::max<int64_t>(1, centres.columns()) * per_class}));
    float* const distances = distances_.f32();
    launch_rows(
        stream, centres.columns() * per_class,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float* const own = all + r * dim;
          float total = 0;
          for (int64_t other = r / per_class * per_class; other < (r / per_class + 1) * per_class; ++other) {
            if (other == r) continue;
            const float* const that = all + other * dim;
            const float score = row.sum(dim, [=](int64_t i) { return own[i] * that[i]; });
            const float square = 2 + 1e-5f - 2 * score;
            const float distance = sqrtf(square > 1e-6f ? square : 1e-6f);
            total += distance;
            row.each(dim, [=](int64_t i) { to[r * dim + i] -= alpha / distance * that[i]; });
          }
          row.once([=] { distances[r] = total / 2; });  // each pair is met twice
        },
        per_class * dim);
    std::vector<float> on_host(static_cast<size_t>(distances_.elements()));
    stream.copy(on_host.data(), distances, distances_.bytes());
    stream.wait();
    double sum = 0;
    for (const float distance : on_host) sum += static_cast<double>(distance);
    if (centres.sharded()) {
      const auto part = static_cast<float>(sum);
      sized(stream, total_, Shape{1});
      stream.copy(total_.raw(), &part, sizeof part);
      communicator.all_reduce(stream, total_);
      float whole = 0;
      stream.copy(&whole, total_.raw(), sizeof whole);
      stream.wait();
      sum = static_cast<double>(whole);
    }
    return factor * sum;
  }

 private:
  SoftmaxSpec spec(const Options& options) const {
    SoftmaxSpec spec = softmax_spec(options, "soft_triple");
    spec.centres.per_class = per_class_;
    spec.centres.pool = options.get<double>("soft_triple.gamma");
    require_option(options, "soft_triple.gamma", spec.centres.pool > 0, "more than 0");
    return spec;
  }

  const int per_class_;
  const double margin_, tau_;
  ClassSoftmax softmax_;
  Tensor distances_, total_;
};

KINDRED_LOSS("soft_triple", SoftTriple, "softmax over classes of several centres each");

}  // namespace
}  // namespace kindred
