// Keeps suspected label errors out of mining, with any miner: an image of another class that scores nearly
// like a duplicate usually is one of the same class with a wrong label.
#pragma once

#include <string>

#include "common/base/options.h"
#include "trainer/miners/score_tile.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

class NoiseGuard {
 public:
  /// Declares LOSS.noise_cap and LOSS.noise_skip.
  static void declare(Options& options, const std::string& loss);
  NoiseGuard(const Options& options, const std::string& loss);

  /// How often `fold` must see every tile.
  int sweeps() const;
  void begin(Stream& stream, int64_t rows);
  void fold(Stream& stream, int sweep, const ScoreTile& tile);
  /// For ScoreTile::negative_limits, after the last sweep; null where nothing is limited.
  const float* limits(Stream& stream);

 private:
  float highest() const;
  float interval(int sweep) const;
  void narrow_after(Stream& stream, int sweep);

  const double cap_, skip_;
  int64_t rows_ = 0;
  Tensor limits_;  // [rows]: at most the wanted share of the row's negatives scores higher
  Tensor counts_;  // [rows, 16]: negatives in all, then those above each inner border of the interval
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
