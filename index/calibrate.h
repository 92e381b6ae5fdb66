// Thresholds with measured rates, from the labelled pairs of a gallery.
#pragma once

#include <span>
#include <vector>

#include "index/gallery.h"

namespace kindred {

struct Calibration {
  std::vector<CalibratedThreshold> thresholds;  // by target, largest first
  /// Targets that the gallery has too few pairs of different labels to show: below one false accept.
  std::vector<double> unsupported;
  int64_t positive_pairs = 0, negative_pairs = 0, unlabelled = 0;
};

/// Over all pairs of labelled items: the threshold of largest TPR whose FPR does not exceed the target.
/// Changes nothing. Throws Error when there is no pair of equal or no pair of different labels.
Calibration calibrate(const Gallery& gallery, std::span<const double> target_fprs);

}  // namespace kindred
