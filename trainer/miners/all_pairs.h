// Marks every pair of two samples.
#pragma once

#include "trainer/miners/miner.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

/// Writes (=) the marks [rows, columns] of a tile.
inline void mark_all_pairs(Stream& stream, const ScoreTile& tile, uint8_t* marks) {
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        row.each(tile.columns, [=](int64_t c) {
          marks[r * tile.columns + c] = tile.positive(r, c)   ? kPositivePair
                                        : tile.negative(r, c) ? kNegativePair
                                                              : uint8_t{0};
        });
      },
      tile.columns);
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
