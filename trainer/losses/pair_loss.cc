#include "trainer/losses/pair_loss.h"

#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "trainer/losses/memory_bank.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {
namespace {

/// The numbers of a row that are summed over all ranks: its terms, and what the progress line shows.
enum Number {
  kPositive,
  kNegative,
  kPositiveDivisor,
  kNegativeDivisor,
  kActive,
  kChosen,
  kTerms,
  kPositiveScore = kTerms,
  kPositives,
  kNegativeScore,
  kNegatives,
  kUnfit,
  kNumbers
};
static_assert(sizeof(RowTerms) == kTerms * sizeof(float));

Columns gathered_columns(const EmbeddingBatch& batch, const EmbeddingGradients& gradients) {
  const float* const rows = batch.all_embeddings.f32();
  const int64_t dim = batch.all_embeddings.shape()[1];
  return {batch.all_embeddings.shape()[0], batch.all_labels.data<int64_t>(),
          batch.all_sample_ids.data<int64_t>(), gradients.references.f32(),
          [=](int64_t first, int64_t) { return rows + first * dim; }};
}

/// unfit[r] += 0, or a value that is not a number where a score is none. Such a score may be chosen by
/// nobody: it must show all the same.
void fold_unfit(Stream& stream, const ScoreTile& tile, float* unfit) {
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const float sum =
            row.sum(tile.columns, [=](int64_t c) { return tile.score(r, c) - tile.score(r, c); });
        row.once([=] { unfit[r] += sum; });
      },
      tile.columns);
}

void write_numbers(Stream& stream, int64_t rows, const RowTerms* terms, const HardestPairs& hardest,
                   const float* unfit, float* all_numbers) {
  const Partner *const positives = hardest.positives(), *const negatives = hardest.negatives();
  launch_each(stream, rows, [=] KINDRED_DEV(int64_t r) {
    const RowTerms& mine = terms[r];
    const float numbers[kNumbers] = {mine.positive,
                                     mine.negative,
                                     mine.positive_divisor,
                                     mine.negative_divisor,
                                     mine.active,
                                     mine.chosen,
                                     positives[r].score,
                                     positives[r].found() ? 1.0f : 0.0f,
                                     negatives[r].score,
                                     negatives[r].found() ? 1.0f : 0.0f,
                                     unfit[r]};
    for (int i = 0; i < kNumbers; ++i) all_numbers[r * kNumbers + i] = numbers[i];
  });
}

}  // namespace

/// The score matrix as tiles from left to right; one that covers all columns is computed once.
struct PairLoss::Tiles {
  static constexpr int64_t kStep = 16;  // columns: a vector's worth; narrower products are slow

  Stream& stream;
  const EmbeddingBatch& batch;
  const Columns& columns;
  Tensor& scores;
  int64_t pair_bytes;
  const float* limits = nullptr;  // of negatives, once known
  int64_t rows = batch.embeddings.shape()[0], dim = batch.embeddings.shape()[1];
  int64_t width =
      std::min(columns.count, std::max(kStep, batch.tile_bytes / (pair_bytes * rows) / kStep * kStep));
  const float* references = nullptr;  // the rows behind the tile last computed
  bool computed = false;

  template <class F>
  void each(F f) {
    for (int64_t first = 0; first < columns.count; first += width)
      f(at(first, std::min(width, columns.count - first)));
  }

  ScoreTile at(int64_t first, int64_t count) {
    float* const to = roomy(stream, scores, rows * width).f32();
    if (!computed) {
      references = columns.embeddings(first, count);
      gemm(stream, Transpose::no, Transpose::yes, rows, count, dim, 1, batch.embeddings.f32(), dim,
           references, dim, 0, to, count);
      computed = width == columns.count;
    }
    return {to,
            batch.labels.data<int64_t>(),
            batch.sample_ids.data<int64_t>(),
            columns.labels + first,
            columns.ids + first,
            rows,
            count,
            first,
            limits,
            dim,
            references,
            columns.gradients == nullptr ? nullptr : columns.gradients + first * dim};
  }

  /// anchors += G A, references += G^T E, for dL/dS of a tile that stands where its scores stood.
  void add_gradients(const ScoreTile& tile, const Tensor& anchors) const {
    gemm(stream, Transpose::no, Transpose::no, rows, dim, tile.columns, 1, tile.scores, tile.columns,
         references, dim, 1, anchors.f32(), dim);
    if (tile.column_gradients == nullptr) return;
    gemm(stream, Transpose::yes, Transpose::no, tile.columns, dim, rows, 1, tile.scores, tile.columns,
         batch.embeddings.f32(), dim, 1, tile.column_gradients, dim);
  }
};

void PairLoss::declare_pair_options(Options& options, const std::string& loss, const std::string& miner) {
  declare_miners(options, loss, miner);
  NoiseGuard::declare(options, loss);
}

PairLoss::PairLoss(const Options& options, const std::string& loss, std::unique_ptr<Miner> miner)
    : miner_(std::move(miner)), guard_(options, loss) {}

LossValue PairLoss::run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                        const EmbeddingGradients& gradients, double weight) {
  LossValue value =
      over(stream, communicator, batch, gathered_columns(batch, gradients), gradients.anchors, weight);
  if (batch.bank != nullptr && batch.bank->in_use(batch.step)) {
    const LossValue past = over(stream, communicator, batch, batch.bank->columns(batch.step),
                                gradients.anchors, weight * batch.bank->weight());
    value.loss += batch.bank->weight() * past.loss;  // the other numbers speak for the batch alone
  }
  return value;
}

LossValue PairLoss::over(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                         const Columns& columns, const Tensor& anchor_gradients, double weight) {
  Tiles tiles{stream, batch, columns, scores_, pair_bytes()};
  const MiningStep step{tiles.rows,     columns.count, batch.labels.data<int64_t>(),
                        columns.labels, columns.ids,   tiles.dim,
                        batch.seed,     batch.step};
  guard_.begin(stream, step.rows);
  for (int sweep = 0; sweep < guard_.sweeps(); ++sweep)
    tiles.each([&](const ScoreTile& tile) { guard_.fold(stream, sweep, tile); });
  tiles.limits = guard_.limits(stream);

  hardest_.begin(stream, step.rows);
  stream.zero(sized(stream, unfit_, Shape{step.rows}));
  if (miner_) miner_->begin(stream, step);
  begin(stream, step);
  const int folds = std::max(1, (miner_ ? miner_->sweeps() : 0) + sweeps());
  for (int sweep = 0; sweep < folds; ++sweep)
    tiles.each([&](const ScoreTile& tile) { fold_tile(stream, sweep, tile); });

  auto* const terms = static_cast<RowTerms*>(sized(stream, terms_, Shape{step.rows, kTerms}).raw());
  finish(stream, step, terms);
  write_numbers(stream, step.rows, terms, hardest_, unfit_.f32(), sums_.begin(stream, step.rows, kNumbers));
  const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
  const double positive = divisor(sums[kPositiveDivisor]), negative = divisor(sums[kNegativeDivisor]);
  if (positive > 0 || negative > 0) {
    const PairScale scale{static_cast<float>(share(weight, positive)),
                          static_cast<float>(share(weight, negative))};
    tiles.each([&](const ScoreTile& tile) {
      gradient(stream, tile, marks_of(stream, tile), scale, scores_.f32());
      tiles.add_gradients(tile, anchor_gradients);
    });
    finish_gradient(stream, step, scale);
  }
  return {share(sums[kPositive], positive) + share(sums[kNegative], negative) + sums[kUnfit],
          share(sums[kActive], sums[kChosen]), share(sums[kPositiveScore], sums[kPositives]),
          share(sums[kNegativeScore], sums[kNegatives])};
}

void PairLoss::fold_tile(Stream& stream, int sweep, const ScoreTile& tile) {
  if (sweep == 0) {
    hardest_.fold(stream, tile);
    fold_unfit(stream, tile, unfit_.f32());
  }
  const int mining = miner_ ? miner_->sweeps() : 0;
  if (sweep < mining) return miner_->fold(stream, sweep, tile);
  if (sweep - mining < sweeps()) fold(stream, sweep - mining, tile, marks_of(stream, tile));
}

const uint8_t* PairLoss::marks_of(Stream& stream, const ScoreTile& tile) {
  if (!miner_) return nullptr;
  uint8_t* const marks = roomy(stream, marks_, tile.rows * tile.columns, DType::u8).data<uint8_t>();
  miner_->mark(stream, tile, marks);
  return marks;
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
