// Same or not the same: all pairs of a set, their scores, and what a threshold does to them.
// Accept when score >= threshold. TPR = TP/(TP+FN), FPR = FP/(FP+TN).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/metrics/retrieval.h"

namespace kindred {

struct RocPoint {
  double threshold, true_positive_rate, false_positive_rate;
};

/// The largest TPR whose FPR does not exceed the target, with the fewest false accepts that allow it: a
/// threshold that exists, never an interpolation (just above the highest score when nothing may be accepted).
struct OperatingPoint {
  double target_fpr = 0, threshold = 0, achieved_fpr = 0, true_positive_rate = 0;
  int64_t false_accepts = 0;  // the evidence behind achieved_fpr
};

struct VerificationMetrics {
  int64_t positive_pairs = 0, negative_pairs = 0;
  double auc = 0;               // P(s+ > s-) + P(=)/2
  double equal_error_rate = 0;  // linear between the bracketing points
  double equal_error_threshold = 0;
  std::vector<OperatingPoint> at_fpr;
  /// Thinned for drawing: at most ~550 points, ends included (the first at threshold +infinity).
  std::vector<RocPoint> roc;
  std::vector<int64_t> positive_histogram, negative_histogram;  // 100 equal bins over [-1, 1]
};

/// Over all pairs (query i, gallery j) with different ids; when both are the same set every unordered pair
/// counts once. Counts, thresholds, their rates and the equal error rate are exact, ties included. In the
/// AUC, scores that share a cell (about 1e-5 wide, finer where many pairs lie) count as ties: that moves it
/// by some 1e-7. Rates over no pairs are NaN. Throws Error: unsound sets, dimensions that differ, a target
/// outside [0, 1]. Memory O(1) in the number of pairs: two passes of a radix histogram over the scores' bit
/// patterns.
VerificationMetrics evaluate_verification(const VectorSet& queries, const VectorSet& gallery, bool same_set,
                                          std::span<const double> target_fprs);

}  // namespace kindred
