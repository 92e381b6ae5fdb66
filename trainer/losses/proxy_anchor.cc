// Proxy-Anchor: every class's proxy is an anchor that pulls its rows and pushes all others:
//   L = 1/|P+| sum over p with rows of ln(1 + sum over own rows of exp(-scale (s - margin)))
//     + 1/C    sum over all p       of ln(1 + sum over other rows of exp(scale (s + margin))).
// The inner sums run over the rows of all ranks before the logarithm is taken.
// Source: Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.
#include <cmath>
#include <vector>

#include "common/engine/launch.h"
#include "trainer/losses/class_softmax.h"

namespace kindred {
namespace {

class ProxyAnchor : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add("proxy_anchor.scale", 32.0, "sharpness: the hardest rows of a proxy count most");
    options.add("proxy_anchor.margin", 0.1, "how far scores should pass 0 on either side");
    ClassCentres::declare_options(options, "proxy_anchor", false);
  }

  explicit ProxyAnchor(const Options& options)
      : scale_(options.get<double>("proxy_anchor.scale")),
        margin_(options.get<double>("proxy_anchor.margin")),
        proxies_(options, spec(), false) {
    require_option(options, "proxy_anchor.margin", margin_ >= 0 && margin_ < 1, "in [0, 1)");
    // exp(64) times any number of rows is a float still.
    require_option(options, "proxy_anchor.scale", scale_ > 0 && scale_ * (1 + margin_) <= 64,
                   "more than 0, and at most 64 / (1 + proxy_anchor.margin)");
  }

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    proxies_.declare(parameters, dim, classes);
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    const Tensor& scores = proxies_.score(stream, batch);
    const int64_t rows = proxies_.rows(), classes = proxies_.columns();
    sum_columns(stream, scores);
    communicator.all_reduce(stream, sums_);
    std::vector<float> sums(static_cast<size_t>(sums_.elements()));
    stream.copy(sums.data(), sums_.raw(), sums_.bytes());
    stream.wait();
    double pulls = 0, pushes = 0, with_rows = 0;
    for (size_t c = 0; c < static_cast<size_t>(classes); ++c) {
      const auto at = [&](int kind) {
        return static_cast<double>(sums[static_cast<size_t>(kind * classes) + c]);
      };
      pulls += std::log1p(at(kPull));
      pushes += std::log1p(at(kPush));
      with_rows += at(kRows) > 0 ? 1 : 0;
    }
    const double pull_share = with_rows > 0 ? 1 / with_rows : 0,
                 push_share = 1 / static_cast<double>(classes);
    turn_into_gradients(stream, scores, weight * pull_share, weight * push_share);
    const std::vector<double> numbers = numbers_.over_all_ranks(stream, communicator);
    proxies_.back(stream, gradients, 1);
    proxies_.finish(stream);
    const auto anchors = static_cast<double>(rows * communicator.size());
    return {pull_share * pulls + push_share * pushes, numbers[kActive] / anchors, numbers[kOwn] / anchors,
            share(numbers[kOther], numbers[kOthers])};
  }

  /// Sums over this rank's rows, by class.
  void sum_columns(Stream& stream, const Tensor& scores) {
    const int64_t rows = proxies_.rows(), n = proxies_.columns();
    const auto scale = static_cast<float>(scale_), margin = static_cast<float>(margin_);
    const float* const all = scores.f32();
    const int64_t* const own = proxies_.own_columns();
    float* const to = sized(stream, sums_, Shape{kKinds * n}).f32();
    const int64_t bytes = columns_scratch_bytes<kKinds>(rows, n);
    sized(stream, scratch_, Shape{bytes / static_cast<int64_t>(sizeof(float))});
    launch_columns<kKinds>(
        stream, rows, n,
        [=] KINDRED_DEV(int64_t r, int64_t c) {
          const float score = all[r * n + c];
          return own[r] == c ? Sums<kKinds>{{expf(-scale * (score - margin)), 0, 1}}
                             : Sums<kKinds>{{0, expf(scale * (score + margin)), 0}};
        },
        SumOutputs<kKinds>{{to, to + n, to + 2 * n}}, Write::set, scratch_);
  }

  /// Writes dL/dS in place of the scores, and each row's numbers.
  void turn_into_gradients(Stream& stream, const Tensor& scores, double pull_share, double push_share) {
    const int64_t rows = proxies_.rows(), n = proxies_.columns();
    const auto scale = static_cast<float>(scale_), margin = static_cast<float>(margin_);
    const auto pull = static_cast<float>(scale_ * pull_share), push = static_cast<float>(scale_ * push_share);
    float* const all = scores.f32();
    const float* const sums = sums_.f32();
    const int64_t* const own_columns = proxies_.own_columns();
    float* const all_numbers = numbers_.begin(stream, rows, kNumbers);
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const row_scores = all + r * n;
          const int64_t own = own_columns[r];
          const float mine = row_scores[own];
          const float other = row.max(n, [=](int64_t c) { return c == own ? kLeftOut : row_scores[c]; });
          row.each(n, [=](int64_t c) {
            const float score = row_scores[c];
            row_scores[c] = c == own ? -pull * expf(-scale * (score - margin)) / (1 + sums[c])
                                     : push * expf(scale * (score + margin)) / (1 + sums[n + c]);
          });
          row.once([=] {
            float* const numbers = all_numbers + r * kNumbers;
            numbers[kActive] = n > 1 && mine - margin <= other ? 1.0f : 0.0f, numbers[kOwn] = mine;
            numbers[kOther] = n > 1 ? other : 0, numbers[kOthers] = n > 1 ? 1.0f : 0.0f;
          });
        },
        8 * n);
  }

 private:
  enum Kind { kPull, kPush, kRows, kKinds };                 // of sums over rows
  enum Number { kActive, kOwn, kOther, kOthers, kNumbers };  // of a row; active: not nearest its proxy

  static CentreSpec spec() {
    CentreSpec spec;
    spec.loss = "proxy_anchor";
    return spec;
  }

  const double scale_, margin_;
  ClassCentres proxies_;
  Tensor sums_, scratch_;
  RowSums numbers_;
};

KINDRED_LOSS("proxy_anchor", ProxyAnchor, "one proxy a class pulls its rows and pushes the others");

}  // namespace
}  // namespace kindred
