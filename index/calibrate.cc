#include "index/calibrate.h"

#include <algorithm>
#include <functional>  // greater

#include "common/metrics/verification.h"
#include "index/evaluate.h"

namespace kindred {

Calibration calibrate(const Gallery& gallery, std::span<const double> target_fprs) {
  const LabelledVectors all = labelled_vectors(gallery);
  LabelTable labels;
  const IndexedVectors labelled = labels.index(all);
  const VerificationMetrics measured =
      evaluate_verification(labelled.view(), labelled.view(), true, target_fprs);
  Calibration calibration;
  calibration.positive_pairs = measured.positive_pairs;
  calibration.negative_pairs = measured.negative_pairs;
  calibration.unlabelled = all.size() - labelled.size();
  if (measured.positive_pairs == 0 || measured.negative_pairs == 0)
    fail(gallery.folder(), ": its ", labelled.size(), " labelled items make ", measured.positive_pairs,
         " pairs of one label and ", measured.negative_pairs,
         " of two; both are needed to measure a threshold");
  for (const OperatingPoint& point : measured.at_fpr) {
    if (point.target_fpr * static_cast<double>(measured.negative_pairs) < 1)
      calibration.unsupported.push_back(point.target_fpr);
    else
      calibration.thresholds.push_back({point.target_fpr, point.threshold, point.achieved_fpr,
                                        point.true_positive_rate, point.false_accepts,
                                        measured.positive_pairs, measured.negative_pairs});
  }
  std::sort(calibration.thresholds.begin(), calibration.thresholds.end(),
            [](const auto& a, const auto& b) { return a.target_fpr > b.target_fpr; });
  std::sort(calibration.unsupported.begin(), calibration.unsupported.end(), std::greater<>());
  return calibration;
}

}  // namespace kindred
