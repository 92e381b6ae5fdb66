#include "trainer/miners/noise_guard.h"

#include <cmath>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {
namespace {

constexpr int kSweeps = 4, kParts = 16;  // 16^4 steps of 3e-5 over [-1, 1]

/// The interval that a sweep divides ends at the limit so far; each sweep makes it kParts times shorter.
KINDRED_DEV float border(float limit, float length, int part) {
  return limit - length * static_cast<float>(kParts - part) / static_cast<float>(kParts);
}

// Moves each limit to the lowest border with few enough negatives above it.
void narrow(Stream& stream, int64_t rows, float length, float skip, const float* all_counts, float* limits) {
  launch_each(stream, rows, [=] KINDRED_DEV(int64_t r) {
    const float* const counts = all_counts + r * kParts;
    const float spare = floorf(skip * counts[0]);
    int part = kParts;
    while (part > 1 && counts[part - 1] <= spare) --part;
    limits[r] = border(limits[r], length, part);
  });
}

}  // namespace

void NoiseGuard::declare(Options& options, const std::string& loss) {
  options.add(loss + ".noise_cap", 1.0,
              "images of other classes that score higher than this count as mislabelled and are left out; "
              "1: none");
  options.add(
      loss + ".noise_skip", 0.0,
      "share of each anchor's negatives, the hardest ones, that count as mislabelled and are left out");
}

NoiseGuard::NoiseGuard(const Options& options, const std::string& loss)
    : cap_(options.get<double>(loss + ".noise_cap")), skip_(options.get<double>(loss + ".noise_skip")) {
  require_option(options, loss + ".noise_cap", cap_ > -1 && cap_ <= 1, "in (-1, 1]");
  require_option(options, loss + ".noise_skip", skip_ >= 0 && skip_ < 1, "in [0, 1)");
}

void NoiseGuard::begin(Stream& stream, int64_t rows) {
  rows_ = rows;
  if (cap_ >= 1 && skip_ == 0) return;
  if (!limits_ || limits_.shape()[0] != rows) {
    limits_ = make_tensor(stream, Shape{rows});
    counts_ = make_tensor(stream, Shape{rows, kParts});
  }
  const float cap = highest();
  float* const limits = limits_.f32();
  launch_each(stream, rows, [=] KINDRED_DEV(int64_t r) { limits[r] = cap; });
}

void NoiseGuard::fold(Stream& stream, int sweep, const ScoreTile& tile) {
  if (tile.first_column == 0) {
    if (sweep > 0) narrow_after(stream, sweep - 1);
    stream.zero(counts_);
  }
  const float length = interval(sweep);
  const float* const limits = limits_.f32();
  float* const all_counts = counts_.f32();
  const float cap = highest();
  launch_rows(
      stream, tile.rows,
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        for (int part = 0; part < kParts; ++part) {
          const float above = part == 0 ? -2.0f : border(limits[r], length, part);
          const float count = row.sum(tile.columns, [=](int64_t c) {
            return tile.negative(r, c) && tile.score(r, c) <= cap && tile.score(r, c) > above ? 1.0f : 0.0f;
          });
          row.once([=] { all_counts[r * kParts + part] += count; });
        }
      },
      kParts * tile.columns);
}

float NoiseGuard::interval(int sweep) const {
  return (1 + static_cast<float>(cap_)) / static_cast<float>(std::pow(kParts, sweep));
}

void NoiseGuard::narrow_after(Stream& stream, int sweep) {
  narrow(stream, rows_, interval(sweep), static_cast<float>(skip_), counts_.f32(), limits_.f32());
}

// Rounding takes scores of equal rows above 1.
float NoiseGuard::highest() const { return cap_ >= 1 ? 1.0001f : static_cast<float>(cap_); }

int NoiseGuard::sweeps() const { return skip_ > 0 ? kSweeps : 0; }

const float* NoiseGuard::limits(Stream& stream) {
  if (skip_ > 0) narrow_after(stream, kSweeps - 1);
  return cap_ < 1 || skip_ > 0 ? limits_.f32() : nullptr;
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
