// What losses by a softmax over classes share. Each says how a score becomes a logit; the rest is here:
//   L = mean over all ranks' rows of -sum over classes of wanted * ln p,  p = softmax(scale * logit),
// with wanted = 1 for the own class, or 1 - smoothing + smoothing / classes for it and smoothing / classes
// for the others. Where centres are sharded, a row's largest logit and its sums are reduced over ranks and
// everything else stays where the centres are.
// Source of the reductions: Shoeybi et al., "Megatron-LM", 2019; Deng et al., "ArcFace", CVPR 2019, section
// 2.3.
#pragma once

#include <cmath>
#include <string>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/class_centres.h"
#include "trainer/losses/row_sums.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

/// A logit, not yet scaled, and its slope over the score.
struct Logit {
  float value, slope;
};

/// The logits of a softmax: own(score, row) of the own class, other(score) of the others. This one is the
/// score itself, less a margin for the own class.
struct CosineMargin {
  float margin = 0;
  KINDRED_DEV Logit own(float score, int64_t) const { return {score - margin, 1}; }
  KINDRED_DEV Logit other(float score) const { return {score, 1}; }
};

struct SoftmaxSpec {
  CentreSpec centres;
  double scale = 1;
  double smoothing = 0;      // share of the target that is spread over all classes
  bool own_in_total = true;  // whether the own class stands in the denominator
};

/// The reading of LOSS.scale and LOSS.label_smoothing, and their declaration.
void declare_softmax_options(Options& options, const std::string& loss, double scale);
SoftmaxSpec softmax_spec(const Options& options, const std::string& loss);
/// A number of centres a class, 1 to 64.
int sub_centres(const Options& options, const std::string& name);

class ClassSoftmax {
 public:
  /// What rows add up. kActive: rows whose own logit, margin taken off, is not the largest.
  enum Number { kLoss, kActive, kOwnScore, kOtherScore, kOthers, kNumbers };
  /// What is reduced over ranks: the largest of three, then the sums of five.
  enum Maximum { kLargest, kLargestOther, kOtherCosine, kMaxima };
  enum Sum { kTotal, kSpread, kOwnLogit, kOwnCosine, kClasses, kSums };

  ClassSoftmax(const Options& options, const SoftmaxSpec& spec)
      : spec_(spec), centres_(options, spec.centres) {}

  ClassCentres& centres() { return centres_; }
  /// The classes that took part in the last `run`, on all ranks together.
  double classes() const { return classes_; }

  /// Everything but centres().finish().
  template <class Margin>
  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight, const Margin& margin) {
    const Tensor& scores = centres_.score(stream, batch);
    const Matrix matrix{scores.f32(), centres_.own_columns(), centres_.rows(), centres_.columns()};
    sized(stream, maxima_, Shape{matrix.rows, kMaxima});
    sized(stream, totals_, Shape{matrix.rows, kSums});
    find_maxima(stream, matrix, margin);
    if (centres_.sharded()) communicator.all_reduce(stream, maxima_, Reduction::max);
    sum_up(stream, matrix, margin);
    if (centres_.sharded()) communicator.all_reduce(stream, totals_);
    turn_into_gradients(stream, matrix, margin);

    const std::vector<double> sums =
        centres_.sharded() ? sums_.over_own_rows(stream) : sums_.over_all_ranks(stream, communicator);
    const auto anchors = static_cast<double>(batch.all_embeddings.shape()[0]);
    stream.copy(&classes_, totals_.f32() + kClasses, sizeof classes_);
    stream.wait();
    centres_.back(stream, gradients, weight / anchors);
    return {sums[kLoss] / anchors, sums[kActive] / anchors, sums[kOwnScore] / anchors,
            share(sums[kOtherScore], sums[kOthers])};
  }

  struct Matrix {
    float* scores;       // [rows, columns]
    const int64_t* own;  // [rows], -1 for none
    int64_t rows, columns;
  };

  template <class Margin>
  void find_maxima(Stream& stream, const Matrix& matrix, const Margin& margin) {
    float* const all = maxima_.f32();
    const bool own_in_total = spec_.own_in_total;
    launch_rows(
        stream, matrix.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = matrix.columns, own = matrix.own[r];
          const float* const scores = matrix.scores + r * n;
          const float other =
              row.max(n, [=](int64_t c) { return c == own ? kLeftOut : margin.other(scores[c]).value; });
          const float cosine = row.max(n, [=](int64_t c) { return c == own ? kLeftOut : scores[c]; });
          const float mine = own >= 0 && own_in_total ? margin.own(scores[own], r).value : kLeftOut;
          row.once([=] {
            float* const maxima = all + r * kMaxima;
            maxima[kLargest] = mine > other ? mine : other;
            maxima[kLargestOther] = other, maxima[kOtherCosine] = cosine;
          });
        },
        4 * matrix.columns);
  }

  template <class Margin>
  void sum_up(Stream& stream, const Matrix& matrix, const Margin& margin) {
    const float* const all_maxima = maxima_.f32();
    float* const all = totals_.f32();
    const auto scale = static_cast<float>(spec_.scale);
    const bool own_in_total = spec_.own_in_total, smooth = spec_.smoothing > 0;
    launch_rows(
        stream, matrix.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = matrix.columns, own = matrix.own[r];
          const float* const scores = matrix.scores + r * n;
          const float largest = all_maxima[r * kMaxima + kLargest];
          const float mine = own >= 0 ? margin.own(scores[own], r).value : 0;
          const auto below = [=](int64_t c) {
            return scale * ((c == own ? mine : margin.other(scores[c]).value) - largest);
          };
          const float total =
              row.sum(n, [=](int64_t c) { return c == own && !own_in_total ? 0 : expf(below(c)); });
          const float spread = smooth ? row.sum(n, [=](int64_t c) { return -below(c); }) : 0;
          row.once([=] {
            float* const sums = all + r * kSums;
            sums[kTotal] = total, sums[kSpread] = spread, sums[kOwnLogit] = mine;
            sums[kOwnCosine] = own >= 0 ? scores[own] : 0, sums[kClasses] = static_cast<float>(n);
          });
        },
        8 * matrix.columns);
  }

  /// Writes the rows' numbers and, in place of the scores, dL/dS, not yet divided by the rows.
  template <class Margin>
  void turn_into_gradients(Stream& stream, const Matrix& matrix, const Margin& margin) {
    float* const all_numbers = sums_.begin(stream, matrix.rows, kNumbers);
    const float *const all_maxima = maxima_.f32(), *const all_sums = totals_.f32();
    const auto scale = static_cast<float>(spec_.scale), smoothing = static_cast<float>(spec_.smoothing);
    const bool own_in_total = spec_.own_in_total;
    launch_rows(
        stream, matrix.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = matrix.columns, own = matrix.own[r];
          float* const scores = matrix.scores + r * n;
          const float *const maxima = all_maxima + r * kMaxima, *const sums = all_sums + r * kSums;
          const float largest = maxima[kLargest], total = sums[kTotal];
          const float everyone = smoothing / sums[kClasses];
          const bool alone = sums[kClasses] <= 1;  // a single class cannot be told from others
          const float idle = alone && !own_in_total ? 0.0f : 1.0f;
          row.each(n, [=](int64_t c) {
            const Logit logit = c == own ? margin.own(scores[c], r) : margin.other(scores[c]);
            const float p = c == own && !own_in_total ? 0 : expf(scale * (logit.value - largest)) / total;
            const float wanted = everyone + (c == own ? 1 - smoothing : 0);
            scores[c] = idle * scale * logit.slope * (p - wanted);
          });
          row.once([=] {
            float* const numbers = all_numbers + r * kNumbers;
            const float loss = logf(total) + (1 - smoothing) * scale * (largest - sums[kOwnLogit]) +
                               everyone * sums[kSpread];
            numbers[kLoss] = idle == 0 ? sums[kOwnLogit] - sums[kOwnLogit] : loss;
            numbers[kActive] = !alone && sums[kOwnLogit] <= maxima[kLargestOther] ? 1.0f : 0.0f;
            numbers[kOwnScore] = sums[kOwnCosine];
            numbers[kOtherScore] = alone ? 0 : maxima[kOtherCosine], numbers[kOthers] = alone ? 0.0f : 1.0f;
          });
        },
        12 * matrix.columns);
  }

 private:
  const SoftmaxSpec spec_;
  ClassCentres centres_;
  Tensor maxima_, totals_;
  RowSums sums_;
  float classes_ = 0;
};

/// A whole loss. L has `auto margin(Stream&, Communicator&, const EmbeddingBatch&)`, which returns its
/// logits.
template <class L>
class MarginSoftmax : public Loss {
 public:
  MarginSoftmax(const Options& options, const SoftmaxSpec& spec) : softmax_(options, spec) {}

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    softmax_.centres().declare(parameters, dim, classes);
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    const auto margin = static_cast<L*>(this)->margin(stream, communicator, batch);
    const LossValue value = softmax_.run(stream, communicator, batch, gradients, weight, margin);
    softmax_.centres().finish(stream);
    return value;
  }

 protected:
  ClassSoftmax softmax_;
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
