// Left and right exchanged, half the time.
#include <algorithm>  // swap_ranges

#include "trainer/data/transform.h"

namespace kindred {
namespace {

class HorizontalFlip : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("horizontal_flip.probability", 0.5, "how often left and right are exchanged");
  }

  HorizontalFlip(const Options& options, const ImageSpec&)
      : probability_(option_in_range(options, "horizontal_flip.probability", 0, 1)) {}

  void apply(Image& image, Random& random) const override {
    if (random.uniform() >= probability_) return;
    for (int y = 0; y < image.height; ++y) {
      uint8_t* left = image.row(y);
      uint8_t* right = left + image.channels * (image.width - 1);
      for (; left < right; left += image.channels, right -= image.channels) {
        std::swap_ranges(left, left + image.channels, right);
      }
    }
  }

 private:
  const double probability_;
};

KINDRED_TRANSFORM("horizontal_flip", HorizontalFlip, "left and right exchanged");

}  // namespace
}  // namespace kindred
