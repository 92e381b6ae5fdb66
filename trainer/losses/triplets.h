// Losses on (anchor, positive, negative) triplets, over every pair of a positive and a negative that a miner
// marked for an anchor:
//   v = d(a, p) - d(a, n) + margin,  loss = max(0, v), or softplus(v) when soft.
// An anchor's positives are few: their scores are kept as the row's state, O(rows x positives), so that pairs
// across tiles need no matrix.
#pragma once

#include "trainer/losses/distance.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

/// Loss of one triplet as a function of v.
struct Penalty {
  bool soft;
  KINDRED_DEV float of(float v) const { return soft ? softplus(v) : v > 0 ? v : 0; }
  KINDRED_DEV float slope(float v) const { return soft ? sigmoid(v) : v > 0 ? 1.0f : 0.0f; }
};

/// What the sum of all triplets' losses is divided by: their count, of those with a loss, or nothing.
enum class TripletMean { all, active, none };

struct TripletRule {
  float margin;
  Distance distance;
  Penalty penalty;
  TripletMean mean;
  bool swap = false;

  /// What a row's loss is divided by, as its share of the sum over rows.
  KINDRED_DEV float divisor(float triplets, float active) const {
    return mean == TripletMean::active && !penalty.soft ? active : triplets;
  }
  /// What the loss is divided by, from the sum of those shares.
  double divide(double sum) const { return mean != TripletMean::none ? sum : sum > 0 ? 1 : 0; }
};

class TripletLoss : public PairLoss {
 public:
  TripletLoss(const Options& options, const std::string& loss, std::unique_ptr<Miner> miner, TripletRule rule)
      : PairLoss(options, loss, std::move(miner)), rule_(rule) {}

  int sweeps() const override { return 2; }
  void begin(Stream& stream, const MiningStep& step) override;
  void fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) override;
  void finish(Stream& stream, const MiningStep& step, RowTerms* terms) override;
  void gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks, PairScale scale,
                float* gradient) override;
  /// gradient [rows, columns] += the slopes of the listed positives that lie in the tile.
  void add_pulls(Stream& stream, const ScoreTile& tile, PairScale scale, float* gradient) const;
  double divisor(double sum) const override { return rule_.divide(sum); }
  double collapse_value() const override {
    const double margin = double{rule_.margin},
                 value = rule_.penalty.soft ? std::log1p(std::exp(margin)) : margin;
    return rule_.mean != TripletMean::none && value > 0 ? value : std::nan("");
  }

  /// A row's numbers, and one of its positives.
  struct RowState {
    double loss = 0, active = 0;
    float negatives = 0;
    int positives = 0;
  };
  struct Positive {
    int64_t column;
    float score, pull;  // pull: the slopes of its triplets, summed
  };

 protected:
  RowState* rows() const { return static_cast<RowState*>(rows_.raw()); }
  Positive* positives() const { return static_cast<Positive*>(positives_.raw()); }

  const TripletRule rule_;
  int64_t capacity_ = 0;  // positives that a row has room for

 private:
  Tensor rows_, positives_;
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
