// A random rectangle painted over with the mean colour, which is zero after normalising.
// Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/data/transform.h"

namespace kindred {
namespace {

class RandomErasing : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("random_erasing.probability", 0.5, "how often a rectangle is erased");
    options.add<double>("random_erasing.area_min", 0.02, "least part of the picture's area");
    options.add<double>("random_erasing.area_max", 0.4, "greatest part of the picture's area");
    options.add<double>("random_erasing.aspect", 1 / 0.3, "width : height lies between 1 / this and this");
  }

  RandomErasing(const Options& options, const ImageSpec& spec)
      : probability_(option_in_range(options, "random_erasing.probability", 0, 1)),
        area_max_(option_in_range(options, "random_erasing.area_max", 0, 1)),
        area_min_(option_in_range(options, "random_erasing.area_min", 0, area_max_)),
        log_aspect_(std::log(option_in_range(options, "random_erasing.aspect", 1, 100))),
        fill_(mean_colour(spec)) {}

  void apply(Image& image, Random& random) const override {
    if (random.uniform() >= probability_) return;
    const double area =
        static_cast<double>(image.width) * image.height * random.uniform(area_min_, area_max_);
    const double aspect = std::exp(random.uniform(-log_aspect_, log_aspect_));
    const int width = std::min(image.width, static_cast<int>(std::lround(std::sqrt(area * aspect))));
    const int height = std::min(image.height, static_cast<int>(std::lround(std::sqrt(area / aspect))));
    const auto left = static_cast<int>(random.below(image.width - width + 1));
    const auto top = static_cast<int>(random.below(image.height - height + 1));
    for (int y = top; y < top + height; ++y) {
      for (int x = left; x < left + width; ++x)
        std::copy_n(fill_.begin(), image.channels, image.row(y) + image.channels * x);
    }
  }

 private:
  const double probability_, area_max_, area_min_, log_aspect_;
  const std::array<uint8_t, kMaxChannels> fill_;
};

KINDRED_TRANSFORM("random_erasing", RandomErasing, "a random rectangle painted over");

}  // namespace
}  // namespace kindred
