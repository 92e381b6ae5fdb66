#include "scripts/make_demo_data/picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace kindred {
namespace {

constexpr double kRadiansPerDegree = 0.017453292519943295;

using Colour = std::array<float, 3>;

/// A picture in floats, 0 to 255. [size, size, 3]
struct Canvas {
  explicit Canvas(int side) : size(side), values(static_cast<size_t>(side) * static_cast<size_t>(side) * 3) {}
  float* at(int x, int y) {
    return values.data() + (static_cast<size_t>(y) * static_cast<size_t>(size) + x) * 3;
  }

  /// Mixes `colour` into a pixel.
  void blend(int x, int y, const Colour& colour, float share) {
    float* pixel = at(x, y);
    for (size_t c = 0; c < 3; ++c) pixel[c] += share * (colour[c] - pixel[c]);
  }

  const int size;
  std::vector<float> values;
};

Colour random_colour(Random& random) {
  Colour colour;
  for (float& channel : colour) channel = static_cast<float>(random.uniform(0, 255));
  return colour;
}

float luma(const Colour& colour) { return 0.299f * colour[0] + 0.587f * colour[1] + 0.114f * colour[2]; }

/// Two colours whose greys differ by at least `contrast`.
std::array<Colour, 2> contrasting_colours(double contrast, Random& random) {
  for (;;) {
    const Colour ground = random_colour(random), ink = random_colour(random);
    if (std::abs(luma(ground) - luma(ink)) >= static_cast<float>(contrast)) return {ground, ink};
  }
}

/// Smooth random values in [-1, 1]: a grid of cells x cells draws, interpolated.
class SmoothNoise {
 public:
  SmoothNoise(int cells, Random& random)
      : cells_(cells), grid_(static_cast<size_t>((cells + 1) * (cells + 1))) {
    for (float& value : grid_) value = static_cast<float>(random.uniform(-1, 1));
  }

  /// x and y in [0, 1).
  float operator()(float x, float y) const {
    const float u = x * static_cast<float>(cells_), v = y * static_cast<float>(cells_);
    const int column = static_cast<int>(u), row = static_cast<int>(v);
    const float s = u - static_cast<float>(column), t = v - static_cast<float>(row);
    const float* cell = grid_.data() + row * (cells_ + 1) + column;
    const float above = cell[0] + s * (cell[1] - cell[0]);
    const float below = cell[cells_ + 1] + s * (cell[cells_ + 2] - cell[cells_ + 1]);
    return above + t * (below - above);
  }

 private:
  const int cells_;
  std::vector<float> grid_;
};

void paint_ground(Canvas& canvas, const Colour& ground, double texture, Random& random) {
  const SmoothNoise coarse(3, random), fine(11, random);
  Colour direction;  // the texture varies along one colour direction
  for (float& channel : direction) channel = static_cast<float>(texture * random.uniform(0.3, 1));
  const auto fine_share = static_cast<float>(random.uniform(0, 0.7));
  for (int y = 0; y < canvas.size; ++y) {
    for (int x = 0; x < canvas.size; ++x) {
      const float u = static_cast<float>(x) / static_cast<float>(canvas.size);
      const float v = static_cast<float>(y) / static_cast<float>(canvas.size);
      const float level = (1 - fine_share) * coarse(u, v) + fine_share * fine(u, v);
      for (size_t c = 0; c < 3; ++c) canvas.at(x, y)[c] = ground[c] + direction[c] * level;
    }
  }
}

/// A straight stroke with soft edges, at any place and angle, in a colour of its own.
void paint_stroke(Canvas& canvas, const Colour& colour, Random& random) {
  const double angle = random.uniform(0, 180) * kRadiansPerDegree;
  const auto nx = static_cast<float>(std::cos(angle)), ny = static_cast<float>(std::sin(angle));
  const auto side = static_cast<float>(canvas.size);
  const auto px = static_cast<float>(random.uniform()) * side,
             py = static_cast<float>(random.uniform()) * side;
  const float half_width = side * static_cast<float>(random.uniform(0.006, 0.04));
  const float half_length = side * static_cast<float>(random.uniform(0.1, 0.5));
  const auto strength = static_cast<float>(random.uniform(0.3, 0.8));
  for (int y = 0; y < canvas.size; ++y) {
    for (int x = 0; x < canvas.size; ++x) {
      const float dx = static_cast<float>(x) - px, dy = static_cast<float>(y) - py;
      const float across = std::abs(nx * dx + ny * dy) - half_width,
                  along = std::abs(nx * dy - ny * dx) - half_length;
      const float inside = std::clamp(0.5f - std::max(across, along), 0.0f, 1.0f);
      if (inside > 0) canvas.blend(x, y, colour, inside * strength);
    }
  }
}

/// Font units to pixels: turned, sheared, stretched, scaled, and put where all of it is visible.
Affine random_map(const Glyph& glyph, int size, const Distortion& distortion, Random& random) {
  const double angle =
      random.uniform(-distortion.rotation_degrees, distortion.rotation_degrees) * kRadiansPerDegree;
  const double shear = random.uniform(-distortion.shear, distortion.shear);
  const double stretch = std::exp(random.uniform(-distortion.stretch, distortion.stretch));
  const double c = std::cos(angle), s = std::sin(angle);
  Affine map{c * stretch, c * shear + s, s * stretch, s * shear - c, 0, 0};  // y turns over

  // The box around the mapped box, its longer side brought to the wanted length.
  const double width = std::abs(map.xx) * glyph.width() + std::abs(map.xy) * glyph.height();
  const double height = std::abs(map.yx) * glyph.width() + std::abs(map.yy) * glyph.height();
  const double scale =
      size * random.uniform(distortion.scale_min, distortion.scale_max) / std::max(width, height);
  for (double* term : {&map.xx, &map.xy, &map.yx, &map.yy}) *term *= scale;

  const double room_x = size - scale * width, room_y = size - scale * height;
  const double middle_x = static_cast<double>(glyph.bounds.xMin) + 0.5 * glyph.width();
  const double middle_y = static_cast<double>(glyph.bounds.yMin) + 0.5 * glyph.height();
  const double freedom = distortion.rotation_degrees > 0 ? 0.5 : 0;  // undistorted glyphs stay in the middle
  map.dx = 0.5 * size + room_x * random.uniform(-freedom, freedom) - (map.xx * middle_x + map.xy * middle_y);
  map.dy = 0.5 * size + room_y * random.uniform(-freedom, freedom) - (map.yx * middle_x + map.yy * middle_y);
  return map;
}

/// Gaussian, separable, edges repeated.
void blur(Canvas& canvas, double sigma) {
  const int reach = static_cast<int>(std::ceil(2.5 * sigma));
  if (sigma < 0.2) return;
  std::vector<float> weights(static_cast<size_t>(2 * reach + 1));
  float sum = 0;
  for (int k = -reach; k <= reach; ++k) {
    sum += weights[static_cast<size_t>(k + reach)] =
        static_cast<float>(std::exp(-0.5 * k * k / (sigma * sigma)));
  }
  for (float& weight : weights) weight /= sum;

  for (const bool across : {true, false}) {
    Canvas source = canvas;
    for (int y = 0; y < canvas.size; ++y) {
      for (int x = 0; x < canvas.size; ++x) {
        Colour mixed{};
        for (int k = -reach; k <= reach; ++k) {
          const int u = std::clamp(across ? x + k : x, 0, canvas.size - 1);
          const int v = std::clamp(across ? y : y + k, 0, canvas.size - 1);
          for (size_t c = 0; c < 3; ++c)
            mixed[c] += weights[static_cast<size_t>(k + reach)] * source.at(u, v)[c];
        }
        std::copy(mixed.begin(), mixed.end(), canvas.at(x, y));
      }
    }
  }
}

Image develop(const Canvas& canvas, double noise, Random& random) {
  Image image{canvas.size, canvas.size, std::vector<uint8_t>(canvas.values.size())};
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const double value = canvas.values[i] + (noise > 0 ? noise * random.normal() : 0);
    image.pixels[i] = static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
  }
  return image;
}

}  // namespace

Distortion Distortion::at(double difficulty) {
  const double d = difficulty;
  return {.rotation_degrees = 25 * d,
          .shear = 0.25 * d,
          .stretch = 0.2 * d,
          .scale_min = std::max(0.2, 0.85 - 0.35 * d),
          .scale_max = 0.9,
          .contrast_min = std::clamp(255 - 195 * d, 20.0, 160.0),
          .texture = 45 * d,
          .clutter = 4 * d,
          .blur = 0.02 * d,
          .noise = 18 * d};
}

Image make_picture(const Glyph& glyph, int size, const Distortion& distortion, Random& random) {
  Canvas canvas(size);
  const auto [ground, ink] = distortion.texture > 0
                                 ? contrasting_colours(distortion.contrast_min, random)
                                 : std::array<Colour, 2>{Colour{255, 255, 255}, Colour{0, 0, 0}};
  paint_ground(canvas, ground, distortion.texture, random);
  const auto strokes = std::lround(2 * distortion.clutter * random.uniform());
  for (int64_t i = 0; i < strokes; ++i) paint_stroke(canvas, random_colour(random), random);

  const std::vector<uint8_t> coverage = draw(glyph, random_map(glyph, size, distortion, random), size);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      canvas.blend(
          x, y, ink,
          static_cast<float>(coverage[static_cast<size_t>(y) * static_cast<size_t>(size) + x]) / 255);
    }
  }
  blur(canvas, size * distortion.blur * random.uniform());
  return develop(canvas, distortion.noise * random.uniform(), random);
}

}  // namespace kindred
