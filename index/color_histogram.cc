// A baseline without learning: how often each colour occurs. 8 x 8 x 8 cells of RGB; the square root of the
// shares is a unit vector, and the cosine of two such vectors is the Bhattacharyya coefficient of the
// histograms. Source: Swain, Ballard, "Color Indexing", IJCV 1991.
#include <array>
#include <cmath>

#include "common/base/error.h"
#include "index/picture_embedder.h"

namespace kindred {

namespace {

class ColorHistogram : public PictureEmbedder {
 public:
  int dim() const override { return kCells; }
  std::string id() const override { return "color_histogram-8x8x8"; }
  ImageSpec image_spec() const override { return {}; }  // looks at the picture in its own size

  void embed(std::span<const Image> images, float* out) override {
    for (const Image& image : images) {
      std::array<int64_t, kCells> counts{};
      for (size_t i = 0; i + 2 < image.pixels.size(); i += 3)
        ++counts[static_cast<size_t>(image.pixels[i] >> 5 << 6 | image.pixels[i + 1] >> 5 << 3 |
                                     image.pixels[i + 2] >> 5)];
      const double pixels = static_cast<double>(image.pixels.size() / 3);
      for (const int64_t count : counts)
        *out++ = static_cast<float>(std::sqrt(static_cast<double>(count) / pixels));
    }
  }

 private:
  static constexpr int kCells = 8 * 8 * 8;
};

}  // namespace

std::unique_ptr<PictureEmbedder> make_baseline_embedder(const std::string& name) {
  const std::string known = "color_histogram";
  if (name != known) fail(unknown_name_text("baseline", name, std::span(&known, 1)));
  return std::make_unique<ColorHistogram>();
}

}  // namespace kindred
