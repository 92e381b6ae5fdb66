// The hardest partners of every anchor: its own class's lowest score and the other classes' highest. Miners
// choose by them, losses and the progress line report them.
#pragma once

#include "trainer/miners/score_tile.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

/// One partner for each row, kept up to date over tiles.
class RowPartners {
 public:
  /// Makes room for `rows` rows and forgets.
  void begin(Stream& stream, int64_t rows);
  Partner* data() const { return static_cast<Partner*>(memory_.raw()); }

 private:
  Tensor memory_;
};

/// For every row the nearest negative that is farther away than a given positive; where there is none, the
/// farthest negative.
class SemiHardNegatives {
 public:
  void begin(Stream& stream, int64_t rows);
  /// positives [rows]: complete before the first tile, scores as in the matrix.
  void fold(Stream& stream, const ScoreTile& tile, const Partner* positives);
  /// [rows]; `fallback`: rows without such a negative have the farthest, or none.
  const Partner* chosen(Stream& stream, bool fallback);

 private:
  int64_t rows_ = 0;
  RowPartners farther_, easiest_;  // easiest: with negated scores
};

class HardestPairs {
 public:
  void begin(Stream& stream, int64_t rows);
  void fold(Stream& stream, const ScoreTile& tile);

  /// [rows], scores as in the matrix.
  const Partner* positives() const { return positives_.data(); }
  const Partner* negatives() const { return negatives_.data(); }

 private:
  RowPartners positives_, negatives_;
};

/// Writes (=) the marks [rows, columns] of a tile: each row's positive and negative, and nothing in rows that
/// lack one.
void mark_partners(Stream& stream, const ScoreTile& tile, const Partner* positives, const Partner* negatives,
                   uint8_t* marks);

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
