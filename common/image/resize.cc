// Separable resampling as Pillow does it, bit for bit: the filter grows with the shrink factor, weights are
// 22-bit fixed point, rows first, rounded to 8 bits between the passes. Integers, so that every machine
// agrees. Source: Pillow, src/libImaging/Resample.c (behaviour); Keys 1981 with a = -0.5 for bicubic.
#include "common/image/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/error.h"

namespace kindred {
namespace {

constexpr int kFractionBits = 22;  // 32 - 8 bits of pixel - 2 bits for weights beyond [0, 1]
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

double bilinear(double x) { return std::max(0.0, 1 - std::abs(x)); }

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// Which input pixels make each output pixel, and how much of each.
struct Taps {
  struct Span {
    int begin, count;
  };
  std::vector<Span> spans;       // [outputs]
  std::vector<int32_t> weights;  // [outputs, stride], fixed point
  int stride = 0;

  const int32_t* row(int i) const {
    return weights.data() + static_cast<size_t>(i) * static_cast<size_t>(stride);
  }
};

/// Taps for outputs [window.begin, window.begin + window.size) of a line resized from `in` to `out` pixels.
Taps make_taps(int in, int out, Window window, Interpolation interpolation) {
  const double scale = static_cast<double>(in) / out, stretch = std::max(scale, 1.0);
  const auto filter = interpolation == Interpolation::bilinear ? bilinear : bicubic;
  const double support = (interpolation == Interpolation::bilinear ? 1.0 : 2.0) * stretch;

  Taps taps;
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.spans.resize(static_cast<size_t>(window.size));
  taps.weights.resize(static_cast<size_t>(window.size) * static_cast<size_t>(taps.stride));
  std::vector<double> values(static_cast<size_t>(taps.stride));
  for (int i = 0; i < window.size; ++i) {
    const double center = (window.begin + i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(center - support + 0.5));
    const int count = std::min(in, static_cast<int>(center + support + 0.5)) - begin;
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      sum += values[static_cast<size_t>(k)] = filter((begin + k - center + 0.5) * (1 / stretch));
    }
    int32_t* weights = taps.weights.data() + static_cast<size_t>(i) * static_cast<size_t>(taps.stride);
    for (int k = 0; k < count; ++k) {
      const double weight = (sum != 0 ? values[static_cast<size_t>(k)] / sum : 0) * (1 << kFractionBits);
      weights[k] = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    taps.spans[static_cast<size_t>(i)] = {begin, count};
  }
  return taps;
}

uint8_t to_pixel(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

// Four 32-bit lanes, one for each channel that there can be, so that a pixel is one register.
using Lanes = int32_t __attribute__((vector_size(16)));

/// One row of pixels through `taps`. scratch: [in] of Lanes.
template <int kChannels>
void resample_row(const uint8_t* in, int width, const Taps& taps, std::vector<Lanes>& scratch, uint8_t* out) {
  for (int x = 0; x < width; ++x, in += kChannels) {
    Lanes pixel{};
    for (int c = 0; c < kChannels; ++c) pixel[c] = in[c];
    scratch[static_cast<size_t>(x)] = pixel;
  }
  for (size_t i = 0; i < taps.spans.size(); ++i, out += kChannels) {
    const Lanes* pixels = scratch.data() + taps.spans[i].begin;
    const int32_t* weights = taps.row(static_cast<int>(i));
    Lanes sum{kHalf, kHalf, kHalf, kHalf};
    for (int k = 0; k < taps.spans[i].count; ++k) sum += pixels[k] * weights[k];
    for (int c = 0; c < kChannels; ++c) out[c] = to_pixel(sum[c]);
  }
}

constexpr decltype(&resample_row<1>) kResampleRow[kMaxChannels] = {resample_row<1>, resample_row<2>,
                                                                   resample_row<3>, resample_row<4>};

/// One output row from `count` input rows of `bytes` bytes each. sums: [bytes].
void blend_rows(const uint8_t* rows, size_t bytes, const int32_t* weights, int count,
                std::vector<int32_t>& sums, uint8_t* out) {
  std::fill(sums.begin(), sums.end(), kHalf);
  int32_t* const sum = sums.data();
  for (int k = 0; k < count; ++k, rows += bytes) {
    const int32_t weight = weights[k];
#pragma omp simd
    for (size_t i = 0; i < bytes; ++i) sum[i] += rows[i] * weight;
  }
#pragma omp simd
  for (size_t i = 0; i < bytes; ++i) out[i] = to_pixel(sum[i]);
}

/// Colours times alpha, so that what nobody sees does not count; the other way round with `divide`. Rounded
/// as Pillow does it.
void scale_by_alpha(Image& image, bool divide) {
  const int colours = image.channels - 1;
  uint8_t* const end = image.pixels.data() + image.pixels.size();
  for (uint8_t* pixel = image.pixels.data(); pixel < end; pixel += image.channels) {
    const int alpha = pixel[colours];
    if (alpha == 255 || (divide && alpha == 0)) continue;
    for (int c = 0; c < colours; ++c) {
      const int rounded = pixel[c] * alpha + 128;
      pixel[c] = static_cast<uint8_t>(divide ? std::min(255, 255 * pixel[c] / alpha)
                                             : ((rounded >> 8) + rounded) >> 8);
    }
  }
}

Image resample(const Image& image, int width, int height, Window columns, Window rows,
               Interpolation interpolation) {
  KINDRED_ASSERT(image.width >= 1 && image.height >= 1 && columns.size >= 1 && rows.size >= 1);
  KINDRED_ASSERT(columns.begin >= 0 && columns.begin + columns.size <= width);
  KINDRED_ASSERT(rows.begin >= 0 && rows.begin + rows.size <= height);

  const Taps down = make_taps(image.height, height, rows, interpolation);
  const int first = down.spans.front().begin, last = down.spans.back().begin + down.spans.back().count;
  Image out = make_image(columns.size, rows.size, image.channels);
  const size_t bytes = out.row_bytes();

  // Pass 1, rows: only those that pass 2 reads.
  std::vector<uint8_t> narrow;
  const uint8_t* source = image.row(first);
  if (width != image.width || columns.size != width) {
    const Taps across = make_taps(image.width, width, columns, interpolation);
    std::vector<Lanes> scratch(static_cast<size_t>(image.width));
    narrow.resize(static_cast<size_t>(last - first) * bytes);
    for (int y = first; y < last; ++y) {
      kResampleRow[image.channels - 1](image.row(y), image.width, across, scratch,
                                       narrow.data() + static_cast<size_t>(y - first) * bytes);
    }
    source = narrow.data();
  }

  // Pass 2, columns.
  std::vector<int32_t> sums(bytes);
  for (int y = 0; y < rows.size; ++y) {
    const Taps::Span span = down.spans[static_cast<size_t>(y)];
    blend_rows(source + static_cast<size_t>(span.begin - first) * bytes, bytes, down.row(y), span.count, sums,
               out.row(y));
  }
  return out;
}

}  // namespace

Image resize_window(const Image& image, int width, int height, Window columns, Window rows,
                    Interpolation interpolation) {
  if (!image.has_alpha()) return resample(image, width, height, columns, rows, interpolation);
  Image weighted = image;
  scale_by_alpha(weighted, false);
  Image out = resample(weighted, width, height, columns, rows, interpolation);
  scale_by_alpha(out, true);
  return out;
}

Image resize(const Image& image, int width, int height, Interpolation interpolation) {
  if (image.width == width && image.height == height) return image;
  return resize_window(image, width, height, {0, width}, {0, height}, interpolation);
}

}  // namespace kindred
