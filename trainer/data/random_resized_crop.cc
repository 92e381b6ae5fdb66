// A random part of the picture, of random area and aspect, resized to the network's input.
// Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6; ten attempts as torchvision
// has.
#include <algorithm>
#include <cmath>

#include "common/image/preprocess.h"
#include "trainer/data/transform.h"

namespace kindred {
namespace {

class RandomResizedCrop : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("random_resized_crop.scale_min", 0.2, "least part of the picture's area");
    options.add<double>("random_resized_crop.scale_max", 1.0, "greatest part of the picture's area");
    options.add<double>("random_resized_crop.aspect", 4.0 / 3,
                        "width : height lies between 1 / this and this");
  }

  RandomResizedCrop(const Options& options, const ImageSpec& spec)
      : spec_(spec),
        scale_max_(option_in_range(options, "random_resized_crop.scale_max", 0.001, 1)),
        scale_min_(option_in_range(options, "random_resized_crop.scale_min", 0.001, scale_max_)),
        log_aspect_(std::log(option_in_range(options, "random_resized_crop.aspect", 1, 100))) {}

  void apply(Image& image, Random& random) const override {
    const double area = static_cast<double>(image.width) * image.height;
    int width = 0, height = 0;
    bool inside = false;
    for (int attempt = 0; attempt < 10 && !inside; ++attempt) {
      const double target = area * random.uniform(scale_min_, scale_max_);
      const double aspect = std::exp(random.uniform(-log_aspect_, log_aspect_));
      width = static_cast<int>(std::lround(std::sqrt(target * aspect)));
      height = static_cast<int>(std::lround(std::sqrt(target / aspect)));
      inside = width >= 1 && height >= 1 && width <= image.width && height <= image.height;
    }
    if (!inside) {  // a very long picture: the widest part of allowed aspect
      const double limit = std::exp(log_aspect_);
      width = std::clamp(static_cast<int>(image.height * limit), 1, image.width);
      height = std::clamp(static_cast<int>(image.width * limit), 1, image.height);
    }
    const auto x = static_cast<int>(random.below(image.width - width + 1));
    const auto y = static_cast<int>(random.below(image.height - height + 1));
    image = resize(crop(image, x, y, width, height), spec_.width, spec_.height, spec_.interpolation);
  }

 private:
  const ImageSpec spec_;
  const double scale_max_, scale_min_, log_aspect_;
};

KINDRED_TRANSFORM("random_resized_crop", RandomResizedCrop, "a random part of the picture, resized");

}  // namespace
}  // namespace kindred
