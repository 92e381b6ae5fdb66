// Two passes over all pairs. The first counts scores by the upper half of their order-preserving bit pattern;
// the second splits those buckets by the lower half: completely where a threshold must be exact, and as
// finely as a fixed budget allows where both classes meet, for the area under the curve.
#include "common/metrics/verification.h"

#include <algorithm>
#include <bit>  // bit_width
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "common/base/error.h"
#include "common/metrics/scores.h"

namespace kindred {

namespace {

constexpr int kHalf = 16;
constexpr size_t kBuckets = size_t{1} << kHalf;
constexpr double kAucCells = 1 << 19;  // at most twice as many: 8 to 16 MB a core
constexpr int kHistogramBins = 100;

struct Counts {
  int64_t negative = 0, positive = 0;
  Counts& operator+=(const Counts& other) {
    negative += other.negative;
    positive += other.positive;
    return *this;
  }
  int64_t total() const { return negative + positive; }
};

/// A run of scores that nobody has to tell apart; `lowest` accepts all of it.
struct Cell {
  uint32_t lowest;
  Counts counts;
};

/// Calls f(worker, score, positive) for every pair that counts. `workers` as block_workers says.
constexpr int64_t kRowBlock = 64, kColumnBlock = 2048;  // a tile of 512 KB stays in the second-level cache
template <class F>
void for_each_pair(const VectorSet& queries, const VectorSet& gallery, bool same_set, F&& f) {
  parallel_blocks(queries.size(), kRowBlock, [&](int64_t worker, int64_t begin, int64_t end) {
    std::vector<float> tile(static_cast<size_t>(kRowBlock * kColumnBlock));
    for (int64_t left = same_set ? begin : 0; left < gallery.size(); left += kColumnBlock) {
      const int64_t columns = std::min(kColumnBlock, gallery.size() - left);
      score_tile(queries.vectors.data() + begin * queries.dim, end - begin,
                 gallery.vectors.data() + left * queries.dim, columns, queries.dim, tile.data());
      for (int64_t i = begin; i < end; ++i) {
        const float* scores = tile.data() + (i - begin) * columns - left;
        const int64_t label = queries.labels[i], id = queries.ids[i];
        for (int64_t j = same_set ? std::max(left, i + 1) : left; j < left + columns; ++j) {
          if (gallery.ids[j] != id) f(worker, scores[j], gallery.labels[j] == label);
        }
      }
    }
  });
}

struct FirstPass {
  std::vector<Counts> buckets = std::vector<Counts>(kBuckets);
  std::vector<Counts> bins = std::vector<Counts>(kHistogramBins);
};

void add_all(std::vector<Counts>& sum, const std::vector<Counts>& part) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
}

FirstPass count_coarsely(const VectorSet& queries, const VectorSet& gallery, bool same_set) {
  std::vector<FirstPass> parts(static_cast<size_t>(block_workers(queries.size(), kRowBlock)));
  for_each_pair(queries, gallery, same_set, [&](int64_t worker, float score, bool positive) {
    FirstPass& part = parts[static_cast<size_t>(worker)];
    const int bin =
        std::clamp(static_cast<int>((score + 1.0f) * (kHistogramBins / 2)), 0, kHistogramBins - 1);
    Counts& bucket = part.buckets[ordered_bits(score) >> kHalf];
    Counts& column = part.bins[static_cast<size_t>(bin)];
    ++(positive ? bucket.positive : bucket.negative);
    ++(positive ? column.positive : column.negative);
  });
  for (size_t w = 1; w < parts.size(); ++w) {
    add_all(parts[0].buckets, parts[w].buckets);
    add_all(parts[0].bins, parts[w].bins);
  }
  return std::move(parts[0]);
}

// Rates over nothing are NaN, which compares false: the callers below rely on it.
double rate(int64_t part, int64_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(part) / static_cast<double>(whole);
}
bool within(int64_t false_accepts, int64_t negatives, double target_fpr) {
  return negatives == 0 || rate(false_accepts, negatives) <= target_fpr;
}
/// FPR has reached FNR: the equal error rate lies at or before this point.
bool crossed(const Counts& accepted, const Counts& all) {
  return rate(accepted.negative, all.negative) >= 1 - rate(accepted.positive, all.positive);
}

/// The buckets inside which a threshold will be looked for, and those whose lowest score may be the answer.
std::set<size_t> exact_buckets(const std::vector<Counts>& buckets, const Counts& all,
                               std::span<const double> targets) {
  std::set<size_t> exact;
  const auto add_crossing = [&](auto&& has_crossed) {
    std::optional<size_t> last, last_positive;
    Counts accepted;
    for (size_t b = kBuckets; b-- > 0;) {
      if (buckets[b].total() == 0) continue;
      accepted += buckets[b];
      const bool found = has_crossed(accepted);
      if (found) exact.insert(b);
      if (found) break;
      last = b;
      if (buckets[b].positive > 0) last_positive = b;
    }
    if (last) exact.insert(*last);
    if (last_positive) exact.insert(*last_positive);
  };
  add_crossing([&](const Counts& accepted) { return crossed(accepted, all); });
  for (const double target : targets) {
    add_crossing([&](const Counts& accepted) { return !within(accepted.negative, all.negative, target); });
  }
  return exact;
}

/// Where the second pass counts: bucket b has 2^(kHalf - shift[b]) cells from first[b] on.
struct Plan {
  std::vector<uint8_t> shift = std::vector<uint8_t>(kBuckets, kHalf);
  std::vector<uint32_t> first = std::vector<uint32_t>(kBuckets, 0);
  size_t cells = 0;
};

/// An AUC is unsure by sum(P_b N_b / cells_b) / 2: cells in proportion to sqrt(P_b N_b) make that least.
Plan plan_cells(const std::vector<Counts>& buckets, const std::set<size_t>& exact) {
  const auto weight = [](const Counts& c) {
    return std::sqrt(static_cast<double>(c.negative) * static_cast<double>(c.positive));
  };
  double weights = 0;
  for (const Counts& bucket : buckets) weights += weight(bucket);
  Plan plan;
  for (size_t b = 0; b < kBuckets; ++b) {
    if (buckets[b].total() == 0) continue;
    const double wanted = weights > 0 ? kAucCells * weight(buckets[b]) / weights : 0;
    const int bits = std::min(kHalf, static_cast<int>(std::bit_width(static_cast<uint64_t>(wanted))));
    plan.shift[b] = static_cast<uint8_t>(exact.contains(b) ? 0 : kHalf - bits);
    plan.first[b] = static_cast<uint32_t>(plan.cells);
    plan.cells += size_t{1} << (kHalf - plan.shift[b]);
  }
  return plan;
}

/// All cells that hold a pair, highest first.
std::vector<Cell> count_finely(const VectorSet& queries, const VectorSet& gallery, bool same_set,
                               const std::vector<Counts>& buckets, const Plan& plan) {
  std::vector<std::vector<Counts>> parts(static_cast<size_t>(block_workers(queries.size(), kRowBlock)));
  for (std::vector<Counts>& part : parts) part.resize(plan.cells);
  for_each_pair(queries, gallery, same_set, [&](int64_t worker, float score, bool positive) {
    const uint32_t key = ordered_bits(score), bucket = key >> kHalf;
    Counts& cell =
        parts[static_cast<size_t>(worker)][plan.first[bucket] + ((key & 0xffffu) >> plan.shift[bucket])];
    ++(positive ? cell.positive : cell.negative);
  });
  for (size_t w = 1; w < parts.size(); ++w) add_all(parts[0], parts[w]);

  std::vector<Cell> cells;
  for (size_t b = kBuckets; b-- > 0;) {
    if (buckets[b].total() == 0) continue;
    for (size_t c = size_t{1} << (kHalf - plan.shift[b]); c-- > 0;) {
      const Counts& counts = parts[0][plan.first[b] + c];
      if (counts.total() > 0)
        cells.push_back({static_cast<uint32_t>(b << kHalf | c << plan.shift[b]), counts});
    }
  }
  return cells;
}

double area_under_curve(const std::vector<Cell>& cells, const Counts& all) {
  double area = 0;  // in pairs of pairs
  Counts accepted;
  for (const Cell& cell : cells) {
    const double negatives_below =
        static_cast<double>(all.negative - accepted.negative - cell.counts.negative);
    area += static_cast<double>(cell.counts.positive) *
            (negatives_below + static_cast<double>(cell.counts.negative) / 2);
    accepted += cell.counts;
  }
  return area / static_cast<double>(all.positive) / static_cast<double>(all.negative);
}

void find_equal_error(const std::vector<Cell>& cells, const Counts& all, VerificationMetrics& metrics) {
  Counts accepted;
  double previous_fpr = 0, previous_fnr = 1;
  for (size_t c = 0; c < cells.size(); ++c) {
    accepted += cells[c].counts;
    const double fpr = rate(accepted.negative, all.negative), fnr = 1 - rate(accepted.positive, all.positive);
    const double threshold = score_of_bits(cells[c].lowest);
    if (crossed(accepted, all)) {
      const double along = (previous_fnr - previous_fpr) / ((previous_fnr - previous_fpr) + (fpr - fnr));
      const double previous_threshold =
          c == 0 ? threshold : static_cast<double>(score_of_bits(cells[c - 1].lowest));
      metrics.equal_error_rate = previous_fpr + along * (fpr - previous_fpr);
      metrics.equal_error_threshold = previous_threshold + along * (threshold - previous_threshold);
      return;
    }
    previous_fpr = fpr, previous_fnr = fnr;
  }
  metrics.equal_error_rate = metrics.equal_error_threshold = std::numeric_limits<double>::quiet_NaN();
}

/// Among thresholds within the target: the most true accepts, then the fewest false ones.
OperatingPoint find_operating_point(const std::vector<Cell>& cells, const Counts& all, double target) {
  const float above_all = cells.empty() ? 1.0f : std::nextafter(score_of_bits(cells.front().lowest), 2.0f);
  double threshold = above_all;
  Counts accepted, best;
  for (const Cell& cell : cells) {
    accepted += cell.counts;
    if (!within(accepted.negative, all.negative, target)) break;
    if (accepted.positive == best.positive && all.positive > 0) continue;
    best = accepted;
    threshold = score_of_bits(cell.lowest);
  }
  return {target, threshold, rate(best.negative, all.negative), rate(best.positive, all.positive),
          best.negative};
}

/// Points for drawing: a new one after each step of 1/160 in either rate, or of an eighth in a small FPR, so
/// that a curve with a logarithmic axis is smooth too. At most 160 + 160 + log(1e12) / log(9/8) + 2, some 550
/// points.
std::vector<RocPoint> thin_curve(const std::vector<Cell>& cells, const Counts& all) {
  constexpr double kStep = 1.0 / 160, kRatio = 9.0 / 8;
  std::vector<RocPoint> points;
  Counts accepted;
  points.push_back({std::numeric_limits<double>::infinity(), rate(0, all.positive), rate(0, all.negative)});
  for (size_t c = 0; c < cells.size(); ++c) {
    accepted += cells[c].counts;
    const RocPoint point{score_of_bits(cells[c].lowest), rate(accepted.positive, all.positive),
                         rate(accepted.negative, all.negative)};
    const RocPoint& last = points.back();
    const bool far = point.true_positive_rate - last.true_positive_rate >= kStep ||
                     point.false_positive_rate - last.false_positive_rate >= kStep ||
                     point.false_positive_rate > last.false_positive_rate * kRatio;
    if (far || c + 1 == cells.size()) points.push_back(point);
  }
  return points;
}

}  // namespace

VerificationMetrics evaluate_verification(const VectorSet& queries, const VectorSet& gallery, bool same_set,
                                          std::span<const double> target_fprs) {
  check_comparable(queries, gallery);
  if (same_set && queries.size() != gallery.size()) {
    fail("verification: one set has ", queries.size(), " vectors as queries and ", gallery.size(),
         " as gallery");
  }
  for (const double target : target_fprs) {
    if (!(target >= 0 && target <= 1)) fail("verification: target FPR ", target, " is not in [0, 1]");
  }
  const FirstPass coarse = count_coarsely(queries, gallery, same_set);
  Counts all;
  for (const Counts& bucket : coarse.buckets) all += bucket;
  const Plan plan = plan_cells(coarse.buckets, exact_buckets(coarse.buckets, all, target_fprs));
  const std::vector<Cell> cells = count_finely(queries, gallery, same_set, coarse.buckets, plan);

  VerificationMetrics metrics;
  metrics.positive_pairs = all.positive;
  metrics.negative_pairs = all.negative;
  metrics.auc = area_under_curve(cells, all);
  find_equal_error(cells, all, metrics);
  for (const double target : target_fprs) metrics.at_fpr.push_back(find_operating_point(cells, all, target));
  metrics.roc = thin_curve(cells, all);
  for (const Counts& bin : coarse.bins) {
    metrics.positive_histogram.push_back(bin.positive);
    metrics.negative_histogram.push_back(bin.negative);
  }
  return metrics;
}

}  // namespace kindred
