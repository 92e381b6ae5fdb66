// Triplet loss over the (positive, negative) pairs that a miner chose for each anchor:
//   v = d(a, p) - d(a, n) + margin,  loss = max(0, v), or softplus(v) when soft.
// For unit rows with score s: squared d = 2 - 2s, euclidean d = sqrt(2 - 2s), cosine d = 1 - s.
// Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015, eq. 3.
#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/score_matrix.h"
#include "trainer/miners/hardest.h"
#include "trainer/miners/miner.h"

namespace kindred {
namespace {

/// Distance as a function of the score.
struct Distance {
  enum Kind { euclidean, squared, cosine } kind;
  static constexpr float kLeast = 1e-12f;  // squared: below, the root has no slope worth having

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

/// Loss of one triplet as a function of v.
struct Penalty {
  bool soft;
  KINDRED_DEV float of(float v) const {
    const float hinge = v > 0 ? v : 0;
    return soft ? hinge + log1pf(expf(-fabsf(v))) : hinge;
  }
  KINDRED_DEV float slope(float v) const { return soft ? 1 / (1 + expf(-v)) : v > 0 ? 1.0f : 0.0f; }
};

enum class Reduction { all, active, sum };

class Triplet : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add("triplet.margin", 0.3, "how much nearer the positive must be than the negative");
    options.add<std::string>("triplet.distance", "euclidean", "euclidean, squared or cosine (1 - score)");
    options.add("triplet.soft", false, "softplus in place of the hinge: never quite satisfied");
    options.add<std::string>(
        "triplet.reduction", "active",
        "divide by active (triplets with a loss), all (triplets chosen) or nothing: sum");
    declare_miners(options, "triplet", "batch_hard");
  }

  explicit Triplet(const Options& options)
      : margin_(options.get<double>("triplet.margin")),
        distance_(choose_option<Distance::Kind>(options, "triplet.distance",
                                                {{"euclidean", Distance::euclidean},
                                                 {"squared", Distance::squared},
                                                 {"cosine", Distance::cosine}})),
        soft_(options.get<bool>("triplet.soft")),
        reduction_(choose_option<Reduction>(
            options, "triplet.reduction",
            {{"active", Reduction::active}, {"all", Reduction::all}, {"sum", Reduction::sum}})),
        miner_(make_miner(options, "triplet", Device::KINDRED_LAUNCH_DEVICE)) {
    require_option(options, "triplet.margin", margin_ >= 0, "at least 0");
  }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    const ScoreTile tile = scores_.compute(stream, batch);
    hardest_.begin(stream, tile.rows);
    hardest_.fold(stream, tile);
    uint8_t* const marks = sized(stream, marks_, Shape{tile.rows, tile.columns}, DType::u8).data<uint8_t>();
    mine(stream, *miner_, tile, marks);
    write_rows(stream, tile, marks);

    const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
    const double triplets = sums[kTriplets], active = sums[kActive];
    const double counted = reduction_ == Reduction::sum            ? 1
                           : reduction_ == Reduction::all || soft_ ? triplets
                                                                   : active;
    if (counted > 0) scores_.add_gradients(stream, batch, weight / counted, gradients);
    return {counted > 0 ? sums[kLoss] / counted : sums[kLoss], share(active, triplets),
            share(sums[kPositiveScore], sums[kPositives]), share(sums[kNegativeScore], sums[kNegatives])};
  }

  /// Writes the row sums and dL/dS, not yet divided.
  void write_rows(Stream& stream, const ScoreTile& tile, const uint8_t* all_marks) {
    float* const all_sums = sums_.begin(stream, tile.rows, kNumbers);
    float* const all_gradients = scores_.gradient().f32();
    const Partner *const positives = hardest_.positives(), *const negatives = hardest_.negatives();
    const auto margin = static_cast<float>(margin_);
    const Distance distance{distance_};
    const Penalty penalty{soft_};
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t n = tile.columns;
          const float* const scores = tile.scores + r * n;
          const uint8_t* const marks = all_marks + r * n;
          float* const gradient = all_gradients + r * n;
          row.each(n, [=](int64_t c) { gradient[c] = 0; });
          const float choices =
              row.sum(n, [=](int64_t c) { return marks[c] == kNegativePair ? 1.0f : 0.0f; });
          // A score that is not finite was chosen by nobody: it must show all the same.
          float loss = row.sum(n, [=](int64_t c) { return scores[c] - scores[c]; });
          float triplets = 0, active = 0;
          for (int64_t p = 0; choices > 0 && p < n; ++p) {
            if (marks[p] != kPositivePair) continue;
            const float base = distance.of(scores[p]) + margin;
            const auto over_negatives = [=](auto f) {
              return [=](int64_t c) {
                return marks[c] == kNegativePair ? f(base - distance.of(scores[c])) : 0.0f;
              };
            };
            triplets += choices;
            loss += row.sum(n, over_negatives([=](float v) { return penalty.of(v); }));
            active += row.sum(n, over_negatives([](float v) { return v > 0 ? 1.0f : 0.0f; }));
            const auto slope = over_negatives([=](float v) { return penalty.slope(v); });
            const float pull = row.sum(n, slope);
            row.once([=] { gradient[p] = pull * distance.slope(scores[p]); });
            row.each(n, [=](int64_t c) {
              if (marks[c] == kNegativePair) gradient[c] -= slope(c) * distance.slope(scores[c]);
            });
          }
          row.once([=] {
            float* const sums = all_sums + r * kNumbers;
            sums[kLoss] = loss, sums[kTriplets] = triplets, sums[kActive] = active;
            sums[kPositiveScore] = positives[r].score, sums[kPositives] = positives[r].found() ? 1.0f : 0.0f;
            sums[kNegativeScore] = negatives[r].score, sums[kNegatives] = negatives[r].found() ? 1.0f : 0.0f;
          });
        },
        16 * tile.columns);
  }

 private:
  /// What each row adds up.
  enum Number { kLoss, kTriplets, kActive, kPositiveScore, kPositives, kNegativeScore, kNegatives, kNumbers };

  const double margin_;
  const Distance::Kind distance_;
  const bool soft_;
  const Reduction reduction_;
  const std::unique_ptr<Miner> miner_;
  ScoreMatrix scores_;
  HardestPairs hardest_;
  RowSums sums_;
  Tensor marks_;
};

KINDRED_LOSS("triplet", Triplet, "the positive must be nearer than the negative, by a margin");

}  // namespace
}  // namespace kindred
