// A loss whose row is a few numbers: describe it by a struct with these members and it is complete.
//   State                                    a row's numbers; its defaults are what it starts from
//   static constexpr int kSweeps             how often every pair is shown
//   static constexpr bool kJoint             one divisor, the positive one, for pairs of both kinds
//   void fold(row, pairs, sweep, State&)     takes the pairs of a tile
//   RowTerms finish(State&)                  the row's loss, and the numbers that `slope` needs
//   float slope(State, score, mark)          d(row's loss)/d(score) of one marked pair
#pragma once

#include <cmath>
#include <utility>

#include "trainer/losses/pair_loss.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

/// The marked pairs of one row of a tile.
struct Pairs {
  const float* scores;
  const uint8_t* marks;
  int64_t count, label;  // label: of the row

  KINDRED_DEV bool positive(int64_t i) const { return marks[i] == kPositivePair; }
  KINDRED_DEV bool negative(int64_t i) const { return marks[i] == kNegativePair; }
  /// Sums of f(score) over the marked pairs of a kind.
  template <class F>
  KINDRED_DEV float positives(const Row& row, F f) const {
    const Pairs mine = *this;
    return row.sum(count, [=](int64_t i) { return mine.positive(i) ? f(mine.scores[i]) : 0.0f; });
  }
  template <class F>
  KINDRED_DEV float negatives(const Row& row, F f) const {
    const Pairs mine = *this;
    return row.sum(count, [=](int64_t i) { return mine.negative(i) ? f(mine.scores[i]) : 0.0f; });
  }
};

/// log(sum of exp(logit)), one tile after the other and never out of range.
struct LogSum {
  float largest = kLeftOut;
  double total = 0;  // of exp(logit - largest)

  /// logit(i): -infinity for pairs that take no part.
  template <class F>
  KINDRED_DEV void add(const Row& row, int64_t count, F logit) {
    const float most = row.max(count, logit);
    if (most == kLeftOut) return;
    if (most > largest) {
      total *= static_cast<double>(expf(largest - most));  // of -infinity: 0
      largest = most;
    }
    const float top = largest;
    total += static_cast<double>(row.sum(count, [=](int64_t i) { return expf(logit(i) - top); }));
  }
  /// -infinity for no pair.
  KINDRED_DEV float value() const { return total > 0 ? largest + static_cast<float>(log(total)) : kLeftOut; }
};

/// ln(1 + e^x), and its slope.
KINDRED_DEV inline float softplus(float x) { return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))); }
KINDRED_DEV inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

template <class Rule>
class RowLoss : public PairLoss {
 public:
  RowLoss(const Options& options, const std::string& loss, std::unique_ptr<Miner> miner, Rule rule)
      : PairLoss(options, loss, std::move(miner)), rule_(rule) {}

  int sweeps() const override { return Rule::kSweeps; }

  void begin(Stream& stream, const MiningStep& step) override {
    roomy(stream, memory_, step.rows * static_cast<int64_t>(sizeof(State)), DType::u8);
    State* const all = states();
    launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) { all[r] = State{}; });
  }

  void fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) override {
    State* const all = states();
    const Rule rule = rule_;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = tile.columns;
          State state = all[r];
          rule.fold(row, Pairs{tile.scores + r * n, marks + r * n, n, tile.row_labels[r]}, sweep, state);
          row.once([=] { all[r] = state; });
        },
        16 * tile.columns);
  }

  void finish(Stream& stream, const MiningStep& step, RowTerms* terms) override {
    State* const all = states();
    const Rule rule = rule_;
    launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) {
      State state = all[r];
      terms[r] = rule.finish(state);
      all[r] = state;
    });
  }

  void gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks, PairScale scale,
                float* gradient) override {
    const State* const all = states();
    const Rule rule = rule_;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const State state = all[r];
          const int64_t first = r * tile.columns;
          row.each(tile.columns, [=](int64_t c) {
            const uint8_t mark = marks[first + c];
            const float factor = Rule::kJoint || mark == kPositivePair ? scale.positive : scale.negative;
            gradient[first + c] = mark == 0 ? 0 : factor * rule.slope(state, gradient[first + c], mark);
          });
        },
        16 * tile.columns);
  }

 protected:
  using State = typename Rule::State;
  State* states() const { return static_cast<State*>(memory_.raw()); }
  Rule rule_;

 private:
  Tensor memory_;
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
