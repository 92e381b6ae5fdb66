#include "common/engine/launch.h"
#include "common/ops/max_pool.h"

namespace kindred {
namespace {

constexpr uint8_t kPaddingWon = MaxPool::kMostTaps;

/// The window's taps that lie inside the image, for one output pixel: [first_y, last_y) x [first_x, last_x).
struct Taps {
  int64_t top, left;  // of the window in the image; may be negative
  int first_y, last_y, first_x, last_x;
};

KINDRED_DEV inline int at_least(int64_t value, int low) {
  return value < low ? low : static_cast<int>(value);
}
KINDRED_DEV inline int at_most(int64_t value, int high) {
  return value > high ? high : static_cast<int>(value);
}

KINDRED_DEV inline Taps taps_inside(const Window& w, int64_t height, int64_t width, int64_t oy, int64_t ox) {
  const int64_t top = oy * w.stride_h - w.top, left = ox * w.stride_w - w.left;
  return {top,
          left,
          at_least(-top, 0),
          at_most(height - top, w.kernel_h),
          at_least(-left, 0),
          at_most(width - left, w.kernel_w)};
}

/// Forward remembers, in a byte per output, which tap won; backward gathers, so that no two writes meet.
template <class T>
class MaxPoolKernel final : public Kernel {
 public:
  MaxPoolKernel(const MaxPool& op, const KernelSpec& spec)
      : op_(op), in_(spec.inputs[0]), out_(spec.output), training_(spec.training) {}

  int64_t state_bytes() const override { return training_ ? out_.elements() : 0; }

  void forward(Stream& stream, const Io& io) override {
    const Window w = op_.window;
    const int64_t height = in_[1], width = in_[2], channels = in_[3], oh = out_[1], ow = out_[2];
    const bool zeros = op_.padding == PoolPadding::zero, remember = training_;
    const T* const x = io.inputs[0].data<T>();
    T* const y = io.output.data<T>();
    uint8_t* const winners = static_cast<uint8_t*>(io.state.raw());
    launch_rows(
        stream, out_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const Taps taps = taps_inside(w, height, width, r / ow % oh, r % ow);
          const bool whole =
              (taps.last_y - taps.first_y) * (taps.last_x - taps.first_x) == w.kernel_h * w.kernel_w;
          const bool padded = zeros && !whole;
          const T* const image = x + r / (oh * ow) * height * width * channels;
          T* const best = y + r * channels;
          uint8_t* const winner = remember ? winners + r * channels : nullptr;
          if (padded) row.each(channels, [=](int64_t c) { best[c] = 0; });
          if (padded && remember) row.each(channels, [=](int64_t c) { winner[c] = kPaddingWon; });
          bool fresh = !padded;  // nothing to beat yet
          for (int ky = taps.first_y; ky < taps.last_y; ++ky) {
            for (int kx = taps.first_x; kx < taps.last_x; ++kx) {
              const T* const from = image + ((taps.top + ky) * width + taps.left + kx) * channels;
              const auto tap = static_cast<uint8_t>(ky * w.kernel_w + kx);
              if (fresh) {
                row.each(channels, [=](int64_t c) { best[c] = from[c]; });
                if (remember) row.each(channels, [=](int64_t c) { winner[c] = tap; });
              } else if (remember) {
                row.each(channels, [=](int64_t c) {
                  const T value = from[c], before = best[c];
                  const bool wins = beats(value, before);
                  winner[c] = wins ? tap : winner[c];
                  best[c] = wins ? value : before;
                });
              } else {
                row.each(channels, [=](int64_t c) {
                  const T value = from[c], before = best[c];
                  best[c] = beats(value, before) ? value : before;
                });
              }
              fresh = false;
            }
          }
        },
        w.taps() * channels);
  }

  void backward(Stream& stream, const Io& io, const Grads& grads) override {
    if (!grads.inputs[0]) return;
    const Window w = op_.window;
    const int64_t height = in_[1], width = in_[2], channels = in_[3], oh = out_[1], ow = out_[2];
    const bool accumulate = grads.accumulate[0] != 0;
    const uint8_t* const winners = static_cast<const uint8_t*>(io.state.raw());
    const T* const dy = grads.output.data<T>();
    T* const dx = grads.inputs[0].data<T>();
    launch_rows(
        stream, in_.rows(),
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const int64_t py = r / width % height + w.top, px = r % width + w.left,
                        image = r / (height * width);
          T* const to = dx + r * channels;
          bool fresh = !accumulate;
          for (int ky = 0; ky < w.kernel_h; ++ky) {
            const int64_t oy = (py - ky) / w.stride_h;
            if (py < ky || (py - ky) % w.stride_h != 0 || oy >= oh) continue;
            for (int kx = 0; kx < w.kernel_w; ++kx) {
              const int64_t ox = (px - kx) / w.stride_w;
              if (px < kx || (px - kx) % w.stride_w != 0 || ox >= ow) continue;
              const int64_t from = ((image * oh + oy) * ow + ox) * channels;
              const T* const above = dy + from;
              const uint8_t* const winner = winners + from;
              const auto tap = static_cast<uint8_t>(ky * w.kernel_w + kx);
              if (fresh) {
                row.each(channels, [=](int64_t c) {
                  const float value = above[c];
                  to[c] = winner[c] == tap ? value : 0;
                });
              } else {
                row.each(channels, [=](int64_t c) {
                  const float value = above[c];
                  to[c] += winner[c] == tap ? value : 0;
                });
              }
              fresh = false;
            }
          }
          if (fresh) row.each(channels, [=](int64_t c) { to[c] = 0; });
        },
        w.taps() * channels);
  }

 private:
  /// Strictly larger, or not a number: a NaN must not vanish here.
  KINDRED_DEV static bool beats(float value, float best) { return value > best || value != value; }

  const MaxPool op_;
  const Shape in_, out_;
  const bool training_;
};

KINDRED_SINGLE_SOURCE_KERNEL("max_pool", MaxPool, MaxPoolKernel);

}  // namespace
}  // namespace kindred
