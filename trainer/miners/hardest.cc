#include "trainer/miners/hardest.h"

#include "common/engine/launch.h"
#include "trainer/miners/miner.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

void RowPartners::begin(Stream& stream, int64_t rows) {
  const Shape bytes{rows * static_cast<int64_t>(sizeof(Partner))};
  if (!memory_ || memory_.shape() != bytes) memory_ = make_tensor(stream, bytes, DType::u8);
  Partner* const partners = data();
  launch_each(stream, rows, [=] KINDRED_DEV(int64_t r) { partners[r] = {0, -1, -1}; });
}

void HardestPairs::begin(Stream& stream, int64_t rows) {
  positives_.begin(stream, rows);
  negatives_.begin(stream, rows);
}

void HardestPairs::fold(Stream& stream, const ScoreTile& tile) {
  Partner *const positives = positives_.data(), *const negatives = negatives_.data();
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const auto lowest_first = [=](int64_t c) {
          return tile.positive(r, c) ? -tile.score(r, c) : kLeftOut;
        };
        const auto highest_first = [=](int64_t c) {
          return tile.negative(r, c) ? tile.score(r, c) : kLeftOut;
        };
        Partner positive = positives[r];
        positive.score = -positive.score;
        positive = best_partner(row, tile, positive, lowest_first);
        positive.score = -positive.score;
        const Partner negative = best_partner(row, tile, negatives[r], highest_first);
        row.once([=] { positives[r] = positive, negatives[r] = negative; });
      },
      4 * tile.columns);
}

void SemiHardNegatives::begin(Stream& stream, int64_t rows) {
  rows_ = rows;
  farther_.begin(stream, rows);
  easiest_.begin(stream, rows);
}

void SemiHardNegatives::fold(Stream& stream, const ScoreTile& tile, const Partner* positives) {
  Partner *const farther = farther_.data(), *const easiest = easiest_.data();
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const float limit = positives[r].score;
        const Partner nearest = best_partner(row, tile, farther[r], [=](int64_t c) {
          return tile.negative(r, c) && tile.score(r, c) < limit ? tile.score(r, c) : kLeftOut;
        });
        const Partner farthest = best_partner(row, tile, easiest[r], [=](int64_t c) {
          return tile.negative(r, c) ? -tile.score(r, c) : kLeftOut;
        });
        row.once([=] { farther[r] = nearest, easiest[r] = farthest; });
      },
      4 * tile.columns);
}

const Partner* SemiHardNegatives::chosen(Stream& stream, bool fallback) {
  Partner* const chosen = farther_.data();
  const Partner* const easiest = easiest_.data();
  if (fallback) {
    launch_each(stream, rows_, [=] KINDRED_DEV(int64_t r) {
      if (!chosen[r].found()) chosen[r] = easiest[r];
    });
  }
  return chosen;
}

void mark_partners(Stream& stream, const ScoreTile& tile, const Partner* positives, const Partner* negatives,
                   uint8_t* marks) {
  launch_each(stream, tile.rows * tile.columns, [=] KINDRED_DEV(int64_t i) {
    const int64_t r = i / tile.columns, column = tile.first_column + i % tile.columns;
    const bool both = positives[r].found() && negatives[r].found();
    marks[i] = !both                           ? uint8_t{0}
               : column == positives[r].column ? kPositivePair
               : column == negatives[r].column ? kNegativePair
                                               : uint8_t{0};
  });
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
