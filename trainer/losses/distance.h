// Distances of unit rows as functions of their score s: squared d = 2 - 2s, euclidean d = sqrt(2 - 2s),
// cosine d = 1 - s.
#pragma once

#include <cmath>
#include <string>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

struct Distance {
  enum Kind { euclidean, squared, cosine } kind;
  static constexpr float kLeast = 1e-12f;  // squared: below, the root has no slope worth having

  /// Declares LOSS.distance, and reads it.
  static void declare(Options& options, const std::string& loss, const std::string& default_kind) {
    options.add<std::string>(loss + ".distance", default_kind, "euclidean, squared or cosine (1 - score)");
  }
  static Distance read(const Options& options, const std::string& loss) {
    return {choose_option<Kind>(options, loss + ".distance",
                                {{"euclidean", euclidean}, {"squared", squared}, {"cosine", cosine}})};
  }

  KINDRED_DEV float of(float score) const {
    const float square = 2 - 2 * score;
    return kind == cosine ? 1 - score : kind == squared ? square : sqrtf(square > kLeast ? square : kLeast);
  }
  /// d(distance)/d(score).
  KINDRED_DEV float slope(float score) const {
    const float square = 2 - 2 * score;
    if (kind != euclidean) return kind == cosine ? -1.0f : -2.0f;
    return square > kLeast ? -1 / sqrtf(square) : 0;
  }
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
