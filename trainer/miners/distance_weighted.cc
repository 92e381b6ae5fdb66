// All positives, and negatives drawn so that every distance is as likely as any other: with weights
// 1 / q(d), q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2) being the density of distances of random unit vectors.
// A draw is the largest of log weight + Gumbel noise, and the noise of a pair is a pure function of the run's
// seed, the step and both sample ids: neither tiles nor ranks change it.
// Source: Wu, Manmatha, Smola, Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV 2017,
// section 4.
#include <cmath>

#include "common/base/option_rules.h"
#include "common/base/philox.h"
#include "common/engine/launch.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

/// -log(-log(u)), u uniform.
KINDRED_DEV float gumbel(uint64_t seed, int64_t step, int64_t row_id, int64_t column_id, int draw) {
  const uint64_t key = seed + 0x9E3779B97F4A7C15u * static_cast<uint64_t>(row_id + 1);
  const PhiloxBlock block =
      philox(key, static_cast<uint32_t>(column_id), static_cast<uint32_t>(column_id >> 32),
             static_cast<uint32_t>(step), static_cast<uint32_t>(draw));
  return -logf(-logf(unit_float(block.word[0]) + 0x1p-25f));
}

struct DistanceWeight {
  float least, cutoff, dim;

  /// The log of the weight; -infinity for distances that are not drawn.
  KINDRED_DEV float of(float score) const {
    const float square = 2 - 2 * score;
    if (!(square < cutoff * cutoff)) return kLeftOut;
    const float kept = square > least * least ? square : least * least;
    return (2 - dim) * 0.5f * logf(kept) - (dim - 3) * 0.5f * logf(1 - kept / 4);
  }
};

class DistanceWeighted : public Miner {
 public:
  static void declare(Options& options, const std::string& loss) {
    options.add(loss + ".distance_weighted_draws", int64_t{3},
                "negatives drawn for an anchor; one that is drawn twice counts once");
    options.add(loss + ".distance_weighted_least", 0.5,
                "euclidean distances below this are drawn as if they were it");
    options.add(loss + ".distance_weighted_cutoff", 1.4, "negatives at least as far away are never drawn");
  }
  DistanceWeighted(const Options& options, const std::string& loss)
      : draws_(options.get<int64_t>(loss + ".distance_weighted_draws")),
        least_(options.get<double>(loss + ".distance_weighted_least")),
        cutoff_(options.get<double>(loss + ".distance_weighted_cutoff")) {
    require_option<int64_t>(options, loss + ".distance_weighted_draws", draws_ >= 1 && draws_ <= 64,
                            "from 1 to 64");
    require_option(options, loss + ".distance_weighted_least", least_ > 0 && least_ < cutoff_,
                   "more than 0 and less than the cutoff");
    require_option(options, loss + ".distance_weighted_cutoff", cutoff_ < 2, "less than 2");
  }

  int sweeps() const override { return 1; }

  void begin(Stream& stream, const MiningStep& step) override {
    step_ = step;
    chosen_.begin(stream, step.rows * draws_);
  }

  void fold(Stream& stream, int, const ScoreTile& tile) override {
    Partner* const all = chosen_.data();
    const int64_t draws = draws_, step = step_.step;
    const uint64_t seed = step_.seed;
    const DistanceWeight weight{static_cast<float>(least_), static_cast<float>(cutoff_),
                                static_cast<float>(step_.dim)};
    launch_rows(
        stream, tile.rows * draws,
        [=] KINDRED_DEV(const Row& row, int64_t i) {
          const int64_t r = i / draws;
          const int draw = static_cast<int>(i % draws);
          const Partner best = best_partner(row, tile, all[i], [=](int64_t c) {
            const float log_weight = tile.negative(r, c) ? weight.of(tile.score(r, c)) : kLeftOut;
            return log_weight == kLeftOut
                       ? kLeftOut
                       : log_weight + gumbel(seed, step, tile.row_ids[r], tile.column_ids[c], draw);
          });
          row.once([=] { all[i] = best; });
        },
        64 * tile.columns);
  }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    const Partner* const all = chosen_.data();
    const int64_t draws = draws_;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          row.each(tile.columns, [=](int64_t c) {
            marks[r * tile.columns + c] = tile.positive(r, c) ? kPositivePair : uint8_t{0};
          });
          row.once([=] {
            for (int64_t draw = 0; draw < draws; ++draw) {
              const int64_t c = all[r * draws + draw].column - tile.first_column;
              if (all[r * draws + draw].found() && c >= 0 && c < tile.columns)
                marks[r * tile.columns + c] = kNegativePair;
            }
          });
        },
        2 * tile.columns);
  }

 private:
  const int64_t draws_;
  const double least_, cutoff_;
  MiningStep step_;
  RowPartners chosen_;  // [rows, draws]
};

KINDRED_MINER("distance_weighted", DistanceWeighted,
              "all positives, and negatives drawn evenly from all distances");

}  // namespace
}  // namespace kindred
