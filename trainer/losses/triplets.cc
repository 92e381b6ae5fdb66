#include "trainer/losses/triplets.h"

#include <algorithm>
#include <unordered_map>

#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {
namespace {

// No row has more positives than the largest class has columns.
int64_t largest_class(Stream& stream, const MiningStep& step) {
  std::vector<int64_t> labels(static_cast<size_t>(step.columns));
  stream.copy(labels.data(), step.column_labels, step.columns * static_cast<int64_t>(sizeof(int64_t)));
  stream.wait();
  std::unordered_map<int64_t, int64_t> counts;
  int64_t most = 0;
  for (const int64_t label : labels) most = std::max(most, ++counts[label]);
  return most;
}

using RowState = TripletLoss::RowState;
using Positive = TripletLoss::Positive;

// Appends the marked positives of a tile and counts its negatives.
void list_positives(Stream& stream, const ScoreTile& tile, const uint8_t* marks, RowState* all,
                    Positive* all_positives, int64_t capacity) {
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const int64_t n = tile.columns;
        const uint8_t* const mine = marks + r * n;
        const float positives = row.sum(n, [=](int64_t c) { return mine[c] == kPositivePair ? 1.0f : 0.0f; });
        const float negatives = row.sum(n, [=](int64_t c) { return mine[c] == kNegativePair ? 1.0f : 0.0f; });
        row.once([=] {
          RowState& state = all[r];
          state.negatives += negatives;
          for (int64_t c = 0; positives > 0 && c < n; ++c) {
            if (mine[c] != kPositivePair) continue;
            all_positives[r * capacity + state.positives] = {tile.first_column + c, tile.score(r, c), 0};
            ++state.positives;
          }
        });
      },
      4 * tile.columns);
}

// Adds every listed positive against the tile's negatives.
void sum_triplets(Stream& stream, const ScoreTile& tile, const uint8_t* marks, const TripletRule& the_rule,
                  RowState* all, Positive* all_positives, int64_t capacity) {
  const TripletRule rule = the_rule;
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const Pairs pairs{tile.scores + r * tile.columns, marks + r * tile.columns, tile.columns,
                          tile.row_labels[r]};
        if (pairs.negatives(row, [](float) { return 1.0f; }) == 0) return;
        const int count = all[r].positives;
        double loss = 0, active = 0;
        for (int k = 0; k < count; ++k) {
          Positive* const positive = all_positives + r * capacity + k;
          const float base = rule.distance.of(positive->score) + rule.margin;
          const auto over = [=](float score) { return base - rule.distance.of(score); };
          loss += static_cast<double>(
              pairs.negatives(row, [=](float score) { return rule.penalty.of(over(score)); }));
          const float above =
              pairs.negatives(row, [=](float score) { return over(score) > 0 ? 1.0f : 0.0f; });
          active += static_cast<double>(above);
          const float pull =
              rule.penalty.soft
                  ? pairs.negatives(row, [=](float score) { return rule.penalty.slope(over(score)); })
                  : above;
          row.once([=] { positive->pull += pull; });
        }
        row.once([=] { all[r].loss += loss, all[r].active += active; });
      },
      16 * tile.columns);
}

}  // namespace

void TripletLoss::begin(Stream& stream, const MiningStep& step) {
  capacity_ = largest_class(stream, step);
  roomy(stream, rows_, step.rows * static_cast<int64_t>(sizeof(RowState)), DType::u8);
  roomy(stream, positives_, step.rows * capacity_ * static_cast<int64_t>(sizeof(Positive)), DType::u8);
  RowState* const all = rows();
  launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) { all[r] = RowState{}; });
}

void TripletLoss::fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) {
  if (sweep == 0) {
    list_positives(stream, tile, marks, rows(), positives(), capacity_);
  } else {
    sum_triplets(stream, tile, marks, rule_, rows(), positives(), capacity_);
  }
}

void TripletLoss::finish(Stream& stream, const MiningStep& step, RowTerms* terms) {
  const RowState* const all = rows();
  const TripletRule rule = rule_;
  launch_each(stream, step.rows, [=] KINDRED_DEV(int64_t r) {
    const RowState& state = all[r];
    const float triplets = static_cast<float>(state.positives) * state.negatives;
    const auto active = static_cast<float>(state.active);
    terms[r] =
        RowTerms::joint(static_cast<float>(state.loss), rule.divisor(triplets, active), active, triplets);
  });
}

void TripletLoss::gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks, PairScale scale,
                           float* gradient) {
  const RowState* const all = rows();
  const Positive* const all_positives = positives();
  const int64_t capacity = capacity_;
  const TripletRule rule = rule_;
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const int64_t n = tile.columns;
        const Positive* const mine = all_positives + r * capacity;
        const int count = all[r].positives;
        float* const to = gradient + r * n;  // scores so far
        row.each(n, [=](int64_t c) {
          if (marks[r * n + c] != kNegativePair) {
            to[c] = 0;
            return;
          }
          const float distance = rule.distance.of(to[c]);
          float push = 0;
          for (int k = 0; k < count; ++k)
            push += rule.penalty.slope(rule.distance.of(mine[k].score) + rule.margin - distance);
          to[c] = -scale.positive * push * rule.distance.slope(to[c]);
        });
      },
      16 * tile.columns);
  add_pulls(stream, tile, scale, gradient);
}

void TripletLoss::add_pulls(Stream& stream, const ScoreTile& tile, PairScale scale, float* gradient) const {
  const RowState* const all = rows();
  const Positive* const all_positives = positives();
  const int64_t capacity = capacity_;
  const TripletRule rule = rule_;
  launch_rows(stream, tile.rows, [=] KINDRED_DEV(const Row& row, int64_t r) {
    const Positive* const mine = all_positives + r * capacity;
    row.each(all[r].positives, [=](int64_t k) {
      const int64_t c = mine[k].column - tile.first_column;
      if (c >= 0 && c < tile.columns) {
        gradient[r * tile.columns + c] += scale.positive * mine[k].pull * rule.distance.slope(mine[k].score);
      }
    });
  });
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
