// The picture turned about its centre by a random angle; corners that come from outside get the mean colour.
#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/data/transform.h"

namespace kindred {
namespace {

constexpr double kRadiansPerDegree = 0.017453292519943295;

class Rotation : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("rotation.degrees", 15, "angle between -this and this");
    options.add<double>("rotation.probability", 1, "how often the picture is turned");
  }

  Rotation(const Options& options, const ImageSpec& spec)
      : degrees_(option_in_range(options, "rotation.degrees", 0, 180)),
        probability_(option_in_range(options, "rotation.probability", 0, 1)),
        fill_(mean_colour(spec)) {}

  void apply(Image& image, Random& random) const override {
    const bool wanted = random.uniform() < probability_;
    const double angle = random.uniform(-degrees_, degrees_) * kRadiansPerDegree;
    if (!wanted) return;
    const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
    const float middle_x = 0.5f * static_cast<float>(image.width - 1);
    const float middle_y = 0.5f * static_cast<float>(image.height - 1);
    const Image source = image;
    for (int y = 0; y < image.height; ++y) {
      uint8_t* out = image.row(y);
      for (int x = 0; x < image.width; ++x, out += image.channels) {
        const float dx = static_cast<float>(x) - middle_x, dy = static_cast<float>(y) - middle_y;
        sample(source, middle_x + c * dx - s * dy, middle_y + s * dx + c * dy, out);
      }
    }
  }

 private:
  /// The colour at (x, y), bilinear; outside lies the fill colour.
  void sample(const Image& source, float x, float y, uint8_t* out) const {
    const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
    const float right_share = x - static_cast<float>(left), bottom_share = y - static_cast<float>(top);
    const auto channels = static_cast<size_t>(source.channels);
    std::array<float, kMaxChannels> sum;
    sum.fill(0.5f);  // 0.5 rounds
    for (int corner = 0; corner < 4; ++corner) {
      const int u = left + corner % 2, v = top + corner / 2;
      const float share =
          (corner % 2 ? right_share : 1 - right_share) * (corner / 2 ? bottom_share : 1 - bottom_share);
      const bool inside = u >= 0 && v >= 0 && u < source.width && v < source.height;
      const uint8_t* pixel = inside ? source.row(v) + source.channels * u : fill_.data();
      for (size_t c = 0; c < channels; ++c) sum[c] += share * static_cast<float>(pixel[c]);
    }
    for (size_t c = 0; c < channels; ++c) out[c] = static_cast<uint8_t>(std::clamp(sum[c], 0.0f, 255.0f));
  }

  const double degrees_, probability_;
  const std::array<uint8_t, kMaxChannels> fill_;
};

KINDRED_TRANSFORM("rotation", Rotation, "the picture turned by a random angle");

}  // namespace
}  // namespace kindred
