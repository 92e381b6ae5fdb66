// Random brightness, contrast, saturation and hue. All four are linear in the colour, so that they are one 3
// x 3 matrix and one offset per picture, applied in one pass and clipped once. Source: Haeberli, "Matrix
// operations for image processing", 1993; ranges as torchvision's ColorJitter has them. Grey pictures have
// brightness and contrast only; alpha stays.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "trainer/data/transform.h"

namespace kindred {
namespace {

using Matrix = std::array<std::array<double, 3>, 3>;

constexpr std::array<double, 3> kLuma{0.299, 0.587, 0.114};  // ITU-R BT.601
constexpr double kTurn = 6.283185307179586;

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix out{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      for (size_t k = 0; k < 3; ++k) out[i][j] += a[i][k] * b[k][j];
    }
  }
  return out;
}

/// Moves every colour away from (factor > 1) or towards (factor < 1) its own grey.
Matrix saturation_matrix(double factor) {
  Matrix out{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) out[i][j] = (i == j ? factor : 0) + (1 - factor) * kLuma[j];
  }
  return out;
}

/// Turns colours about the grey axis and keeps their luma (YIQ, chroma turned).
Matrix hue_matrix(double turns) {
  const Matrix to_yiq{
      {{kLuma[0], kLuma[1], kLuma[2]}, {0.5959, -0.2746, -0.3213}, {0.2115, -0.5227, 0.3112}}};
  const Matrix from_yiq{{{1, 0.956, 0.619}, {1, -0.272, -0.647}, {1, -1.106, 1.703}}};
  const double c = std::cos(kTurn * turns), s = std::sin(kTurn * turns);
  return product(from_yiq, product({{{1, 0, 0}, {0, c, -s}, {0, s, c}}}, to_yiq));
}

/// How many channels hold colour: 1 or 3.
size_t colours(const Image& image) { return image.channels < 3 ? 1 : 3; }

double mean_luma(const Image& image) {
  std::array<int64_t, 3> sums{};
  for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels)) {
    for (size_t c = 0; c < colours(image); ++c) sums[c] += image.pixels[i + c];
  }
  if (colours(image) == 1) sums.fill(sums[0]);
  double luma = 0;
  for (size_t c = 0; c < 3; ++c) luma += kLuma[c] * static_cast<double>(sums[c]);
  return luma / (static_cast<double>(image.width) * image.height);
}

class ColorJitter : public Transform {
 public:
  static void declare(Options& options) {
    options.add<double>("color_jitter.brightness", 0.4, "factor between 1 - this and 1 + this");
    options.add<double>("color_jitter.contrast", 0.4, "factor between 1 - this and 1 + this");
    options.add<double>("color_jitter.saturation", 0.4, "factor between 1 - this and 1 + this");
    options.add<double>("color_jitter.hue", 0.0,
                        "turn of the colour circle, between -this and this; 0.5 is half");
    options.add<double>("color_jitter.probability", 0.8, "how often colours are changed at all");
  }

  ColorJitter(const Options& options, const ImageSpec&)
      : brightness_(option_in_range(options, "color_jitter.brightness", 0, 1)),
        contrast_(option_in_range(options, "color_jitter.contrast", 0, 1)),
        saturation_(option_in_range(options, "color_jitter.saturation", 0, 1)),
        hue_(option_in_range(options, "color_jitter.hue", 0, 0.5)),
        probability_(option_in_range(options, "color_jitter.probability", 0, 1)) {}

  void apply(Image& image, Random& random) const override {
    const bool wanted = random.uniform() < probability_;
    const double brightness = 1 + random.uniform(-brightness_, brightness_);
    const double contrast = 1 + random.uniform(-contrast_, contrast_);
    const double saturation = 1 + random.uniform(-saturation_, saturation_);
    const double turns = random.uniform(-hue_, hue_);
    if (!wanted) return;

    const Matrix colour = product(hue_matrix(turns), saturation_matrix(saturation));
    const auto offset =
        static_cast<float>((1 - contrast) * brightness * mean_luma(image)) + 0.5f;  // 0.5 rounds
    float matrix[3][3];
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 3; ++j) matrix[i][j] = static_cast<float>(brightness * contrast * colour[i][j]);
    }
    const auto to_level = [](float value) { return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f)); };
    const auto grey_gain = static_cast<float>(brightness * contrast);
    for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels)) {
      uint8_t* pixel = image.pixels.data() + i;
      if (colours(image) == 1) {
        pixel[0] = to_level(grey_gain * pixel[0] + offset);
        continue;
      }
      const float red = pixel[0], green = pixel[1], blue = pixel[2];
      for (int c = 0; c < 3; ++c)
        pixel[c] = to_level(matrix[c][0] * red + matrix[c][1] * green + matrix[c][2] * blue + offset);
    }
  }

 private:
  const double brightness_, contrast_, saturation_, hue_, probability_;
};

KINDRED_TRANSFORM("color_jitter", ColorJitter, "random brightness, contrast, saturation and hue");

}  // namespace
}  // namespace kindred
