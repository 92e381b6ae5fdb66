// What miners and losses see of a step: a tile of the score matrix and who its rows and columns are. Rows are
// this rank's anchors; columns are some of the rows gathered from all ranks, or of a memory bank.
#pragma once

#include <cstdint>

#include "common/engine/launch.h"

namespace kindred {

struct ScoreTile {
  const float* scores;                        // [rows, columns] cosines
  const int64_t *row_labels, *row_ids;        // [rows]
  const int64_t *column_labels, *column_ids;  // [columns]
  int64_t rows, columns;
  int64_t first_column;  // of the tile, among all columns
  const float* negative_limits =
      nullptr;      // [rows], or null: negatives that score higher count as mislabelled
  int64_t dim = 0;  // of the embeddings behind the columns,
  const float* column_embeddings = nullptr;  // [columns, dim], and of
  float* column_gradients = nullptr;         // the same where they learn, else null

  /// Two samples of one class. A sample is never its own partner, also where it was drawn twice.
  KINDRED_DEV bool positive(int64_t r, int64_t c) const {
    return row_labels[r] == column_labels[c] && row_ids[r] != column_ids[c];
  }
  KINDRED_DEV bool negative(int64_t r, int64_t c) const {
    return row_labels[r] != column_labels[c] && row_ids[r] != column_ids[c] &&
           !(negative_limits != nullptr && scores[r * columns + c] > negative_limits[r]);
  }
  KINDRED_DEV float score(int64_t r, int64_t c) const { return scores[r * columns + c]; }
};

/// One partner of an anchor; column -1 stands for none.
struct Partner {
  float score;
  int64_t column;  // among all columns
  int64_t id;      // sample id

  KINDRED_DEV bool found() const { return column >= 0; }
};

/// The value of a column that is no candidate.
constexpr float kLeftOut = -std::numeric_limits<float>::infinity();

/// Of two partners that were chosen in different tiles by the same rule, the one that both tiles together
/// give.
KINDRED_DEV inline Partner better_partner(const Partner& a, const Partner& b) {
  if (!a.found() || !b.found()) return a.found() ? a : b;
  if (a.score != b.score) return a.score > b.score ? a : b;
  if (a.id != b.id) return a.id < b.id ? a : b;
  return a.column < b.column ? a : b;
}

/// The better of `before`, which this function chose in other tiles by the same rule, and this tile's column
/// with the largest value(c), as a partner with that value for its score. Columns of value -infinity do not
/// take part. Of equal values the lowest sample id wins, then the lowest column: no result depends on tiles,
/// nor on how samples are dealt to ranks.
template <class F>
KINDRED_DEV Partner best_partner(const Row& row, const ScoreTile& tile, const Partner& before, F value) {
  const float most = row.max(tile.columns, value);  // in vectors, unlike arg_max: few tiles hold a better one
  if (most == kLeftOut || (before.found() && most < before.score)) return before;
  Largest best = row.arg_max(tile.columns, value);
  const auto ties = [=](int64_t c) { return value(c) == best.value; };
  if (row.sum(tile.columns, [=](int64_t c) { return ties(c) ? 1.0f : 0.0f; }) > 1) {
    // Rows reduce floats, which hold 24 bits: ids are compared by halves.
    const auto high = [=](int64_t c) { return static_cast<float>(-(tile.column_ids[c] >> 24)); };
    const auto low = [=](int64_t c) { return static_cast<float>(-(tile.column_ids[c] & 0xffffff)); };
    const float highest = row.max(tile.columns, [=](int64_t c) { return ties(c) ? high(c) : kLeftOut; });
    best.index = row.arg_max(tile.columns,
                             [=](int64_t c) { return ties(c) && high(c) == highest ? low(c) : kLeftOut; })
                     .index;
  }
  return better_partner(before, {best.value, tile.first_column + best.index, tile.column_ids[best.index]});
}

}  // namespace kindred
