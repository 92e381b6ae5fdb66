#include "trainer/losses/swapped_triplets.h"

#include "common/engine/gemm.h"
#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {
namespace {

using RowState = TripletLoss::RowState;
using Positive = TripletLoss::Positive;

/// One anchor, one of its positives, and the negatives of a tile.
struct Swapped {
  TripletRule rule;
  const float *anchor_scores, *positive_scores;  // [columns]
  float base;                                    // d(a, p) + margin

  KINDRED_DEV bool by_positive(int64_t c) const { return positive_scores[c] > anchor_scores[c]; }
  KINDRED_DEV float score(int64_t c) const { return by_positive(c) ? positive_scores[c] : anchor_scores[c]; }
  KINDRED_DEV float v(int64_t c) const { return base - rule.distance.of(score(c)); }
  /// dL/d(score(c)).
  KINDRED_DEV float slope(int64_t c) const {
    return -rule.penalty.slope(v(c)) * rule.distance.slope(score(c));
  }
};

// Copies the embeddings of the positives that lie in the tile.
void keep_embeddings(Stream& stream, const ScoreTile& tile, const RowState* all,
                     const Positive* all_positives, int64_t capacity, float* embeddings) {
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        for (int64_t k = 0; k < all[r].positives; ++k) {
          const int64_t c = all_positives[r * capacity + k].column - tile.first_column, dim = tile.dim;
          if (c < 0 || c >= tile.columns) continue;
          float* const to = embeddings + (k * tile.rows + r) * dim;
          row.each(dim, [=](int64_t d) { to[d] = tile.column_embeddings[c * dim + d]; });
        }
      },
      8 * tile.dim);
}

// Adds every row's k-th positive against the tile's negatives.
void sum_triplets(Stream& stream, const ScoreTile& tile, const uint8_t* all_marks,
                  const TripletRule& the_rule, int64_t k, int64_t capacity, const float* all_scores,
                  RowState* all, Positive* all_positives) {
  const TripletRule rule = the_rule;
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        if (k >= all[r].positives) return;
        const int64_t n = tile.columns;
        Positive* const positive = all_positives + r * capacity + k;
        const uint8_t* const marks = all_marks + r * n;
        const Swapped it{rule, tile.scores + r * n, all_scores + r * n,
                         rule.distance.of(positive->score) + rule.margin};
        const auto over_negatives = [=](auto f) {
          return row.sum(n, [=](int64_t c) { return marks[c] == kNegativePair ? f(it.v(c)) : 0.0f; });
        };
        const float loss = over_negatives([=](float v) { return rule.penalty.of(v); });
        const float active = over_negatives([](float v) { return v > 0 ? 1.0f : 0.0f; });
        const float pull = over_negatives([=](float v) { return rule.penalty.slope(v); });
        row.once([=] {
          positive->pull += pull;
          all[r].loss += loss, all[r].active += active;
        });
      },
      16 * tile.columns);
}

// Of the k-th positives: anchor_slopes [rows, columns] += slopes of negatives that count by the anchor;
// scores = slopes of those that count by the positive.
void split_slopes(Stream& stream, const ScoreTile& tile, const uint8_t* marks, const TripletRule& the_rule,
                  int64_t k, int64_t capacity, float scale, const RowState* all,
                  const Positive* all_positives, float* scores, float* anchor_slopes) {
  const TripletRule rule = the_rule;
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const int64_t n = tile.columns, first = r * n;
        const bool here = k < all[r].positives;
        const float base = here ? rule.distance.of(all_positives[r * capacity + k].score) + rule.margin : 0;
        const Swapped it{rule, tile.scores + first, scores + first, base};
        row.each(n, [=](int64_t c) {
          const bool counts = here && marks[first + c] == kNegativePair;
          const float slope = counts ? scale * it.slope(c) : 0;
          const bool by_positive = it.by_positive(c);
          anchor_slopes[first + c] += by_positive ? 0 : slope;
          scores[first + c] = by_positive ? slope : 0;
        });
      },
      16 * tile.columns);
}

}  // namespace

void SwappedTripletLoss::begin(Stream& stream, const MiningStep& step) {
  TripletLoss::begin(stream, step);
  rows_count_ = step.rows, dim_ = step.dim, references_ = nullptr;
  for (Tensor* tensor : {&embeddings_, &embedding_gradients_})
    stream.zero(roomy(stream, *tensor, capacity_ * step.rows * step.dim));
}

void SwappedTripletLoss::fold(Stream& stream, int sweep, const ScoreTile& tile, const uint8_t* marks) {
  if (sweep == 0) {
    TripletLoss::fold(stream, sweep, tile, marks);
    keep_embeddings(stream, tile, rows(), positives(), capacity_, embeddings_.f32());
    return;
  }
  for (int64_t k = 0; k < capacity_; ++k) {
    sum_triplets(stream, tile, marks, rule_, k, capacity_, score_positives(stream, tile, k), rows(),
                 positives());
  }
}

float* SwappedTripletLoss::score_positives(Stream& stream, const ScoreTile& tile, int64_t k) {
  float* const scores = roomy(stream, scores_, tile.rows * tile.columns).f32();
  gemm(stream, Transpose::no, Transpose::yes, tile.rows, tile.columns, dim_, 1, embeddings_of(k), dim_,
       tile.column_embeddings, dim_, 0, scores, tile.columns);
  return scores;
}

void SwappedTripletLoss::gradient(Stream& stream, const ScoreTile& tile, const uint8_t* marks,
                                  PairScale scale, float* gradient) {
  const int64_t pairs = tile.rows * tile.columns;
  float* const slopes = roomy(stream, anchor_slopes_, pairs).f32();
  stream.zero(slopes, pairs * static_cast<int64_t>(sizeof(float)));
  for (int64_t k = 0; k < capacity_; ++k) {
    float* const scores = score_positives(stream, tile, k);
    split_slopes(stream, tile, marks, rule_, k, capacity_, scale.positive, rows(), positives(), scores,
                 slopes);
    gemm(stream, Transpose::no, Transpose::no, tile.rows, dim_, tile.columns, 1, scores, tile.columns,
         tile.column_embeddings, dim_, 1, embedding_gradients_.f32() + k * tile.rows * dim_, dim_);
    if (tile.column_gradients == nullptr) continue;
    references_ = tile.column_gradients - tile.first_column * dim_;
    gemm(stream, Transpose::yes, Transpose::no, tile.columns, dim_, tile.rows, 1, scores, tile.columns,
         embeddings_of(k), dim_, 1, tile.column_gradients, dim_);
  }
  add_pulls(stream, tile, scale, slopes);
  stream.copy(gradient, slopes, pairs * static_cast<int64_t>(sizeof(float)));
}

// What negatives want of the positives. Several rows may share a positive: each dimension goes through all of
// them in order.
void SwappedTripletLoss::finish_gradient(Stream& stream, const MiningStep& step, PairScale) {
  if (references_ == nullptr) return;
  const RowState* const all = rows();
  const Positive* const all_positives = positives();
  const int64_t count = step.rows, capacity = capacity_, dim = dim_;
  const float* const gradients = embedding_gradients_.f32();
  float* const references = references_;
  launch_each(
      stream, dim,
      [=] KINDRED_DEV(int64_t d) {
        for (int64_t r = 0; r < count; ++r) {
          for (int64_t k = 0; k < all[r].positives; ++k) {
            references[all_positives[r * capacity + k].column * dim + d] +=
                gradients[(k * count + r) * dim + d];
          }
        }
      },
      count);
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
