#include "trainer/data/transform.h"

#include <algorithm>
#include <cmath>

#include "common/base/error.h"
#include "common/image/preprocess.h"

namespace kindred {
namespace {

/// The last step: brings the picture to spec size.
class Fit : public Transform {
 public:
  /// A picture that an augmentation already brought to spec size is not cropped a second time.
  Fit(const ImageSpec& spec, bool first_step) : spec_(spec), first_step_(first_step) {}

  void apply(Image& image, Random&) const override {
    const bool fits = image.width == spec_.width && image.height == spec_.height;
    if (first_step_ || !fits) image = fit(image, spec_);
  }

 private:
  const ImageSpec spec_;
  const bool first_step_;
};

}  // namespace

Registry<TransformEntry>& transform_registry() {
  static Registry<TransformEntry> registry("augmentation");
  return registry;
}

double option_in_range(const Options& options, const std::string& name, double low, double high) {
  const double value = options.get<double>(name);
  if (!(value >= low && value <= high)) {
    fail_usage(options.source(name), ": ", name, " is ", value, "; expected ", low, " to ", high);
  }
  return value;
}

std::array<uint8_t, kMaxChannels> mean_colour(const ImageSpec& spec) {
  std::array<uint8_t, kMaxChannels> colour;
  for (size_t c = 0; c < colour.size(); ++c) {
    colour[c] = static_cast<uint8_t>(std::clamp(std::lround(spec.mean[c] * 255), 0L, 255L));
  }
  return colour;
}

std::vector<std::unique_ptr<Transform>> make_transforms(const std::vector<std::string>& names,
                                                        const Options& options, const ImageSpec& spec) {
  std::vector<std::unique_ptr<Transform>> transforms;
  for (const std::string& name : names)
    transforms.push_back(transform_registry().get(name).make.make(options, spec));
  transforms.push_back(std::make_unique<Fit>(spec, names.empty()));
  return transforms;
}

}  // namespace kindred
