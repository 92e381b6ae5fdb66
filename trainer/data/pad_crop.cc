// The picture moved by a few pixels: brought to the network's size, padded with the mean colour on all sides,
// and cut at a random place.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>  // memcpy

#include "common/image/preprocess.h"
#include "trainer/data/transform.h"

namespace kindred {
namespace {

class PadCrop : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("pad_crop.padding", 0.05, "greatest shift, as a part of width and height");
  }

  PadCrop(const Options& options, const ImageSpec& spec)
      : spec_(spec), padding_(option_in_range(options, "pad_crop.padding", 0, 1)) {}

  void apply(Image& image, Random& random) const override {
    const Image whole = fit(image, spec_);
    const auto reach_x = static_cast<int>(std::lround(padding_ * whole.width));
    const auto reach_y = static_cast<int>(std::lround(padding_ * whole.height));
    const auto shift_x = static_cast<int>(random.below(2 * reach_x + 1)) - reach_x;
    const auto shift_y = static_cast<int>(random.below(2 * reach_y + 1)) - reach_y;

    const std::array<uint8_t, kMaxChannels> fill = mean_colour(spec_);
    const int channels = whole.channels;
    image = whole;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      image.pixels[i] = fill[i % static_cast<size_t>(channels)];
    const int width = whole.width - std::abs(shift_x);
    for (int y = std::max(0, shift_y); y < std::min(whole.height, whole.height + shift_y); ++y) {
      if (width <= 0) break;
      std::memcpy(image.row(y) + channels * std::max(0, shift_x),
                  whole.row(y - shift_y) + channels * std::max(0, -shift_x),
                  static_cast<size_t>(width) * static_cast<size_t>(channels));
    }
  }

 private:
  const ImageSpec spec_;
  const double padding_;
};

KINDRED_TRANSFORM("pad_crop", PadCrop, "the picture moved by a few pixels");

}  // namespace
}  // namespace kindred
