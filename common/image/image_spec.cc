#include "common/image/image_spec.h"

#include <algorithm>
#include <cmath>

#include "common/base/error.h"

namespace kindred {
namespace {

constexpr int kMaxSide = 4096;

constexpr std::string_view text(ResizeMode mode) {
  return mode == ResizeMode::stretch ? "stretch" : "center_crop";
}
constexpr std::string_view text(Interpolation kind) {
  return kind == Interpolation::bilinear ? "bilinear" : "bicubic";
}

/// The value among `known` whose text stands under `key`.
template <class T>
T json_choice(const Json& json, std::string_view key, std::string_view what, std::initializer_list<T> known) {
  const auto found = json_get<std::string>(json, key, what);
  std::string names;
  for (const T value : known) {
    if (text(value) == found) return value;
    names += concat(names.empty() ? "" : " or ", "'", text(value), "'");
  }
  fail(what, ": the key '", key, "' is '", found, "'; expected ", names);
}

int json_side(const Json& json, std::string_view key, std::string_view what, int least) {
  const auto side = json_get<int64_t>(json, key, what);
  if (side < least || side > kMaxSide) {
    fail(what, ": the key '", key, "' is ", side, "; expected ", least, " to ", kMaxSide);
  }
  return static_cast<int>(side);
}

std::array<float, 3> json_channels(const Json& json, std::string_view key, std::string_view what,
                                   float least) {
  const auto values = json_get<std::vector<float>>(json, key, what);
  const bool good = values.size() == 3 && std::all_of(values.begin(), values.end(), [&](float v) {
                      return std::isfinite(v) && v >= least;
                    });
  if (!good) fail(what, ": the key '", key, "' must be three numbers, each at least ", least);
  return {values[0], values[1], values[2]};
}

}  // namespace

Json ImageSpec::to_json() const {
  return {{"height", height},
          {"width", width},
          {"resize", text(resize)},
          {"resize_short", resize_short},
          {"interpolation", text(interpolation)},
          {"mean", mean},
          {"std", std}};
}

ImageSpec ImageSpec::from_json(const Json& json, std::string_view what) {
  ImageSpec spec;
  spec.height = json_side(json, "height", what, 1);
  spec.width = json_side(json, "width", what, 1);
  spec.resize = json_choice(json, "resize", what, {ResizeMode::stretch, ResizeMode::center_crop});
  const bool crops = spec.resize == ResizeMode::center_crop;
  spec.resize_short = json_side(json, "resize_short", what, crops ? std::max(spec.height, spec.width) : 0);
  spec.interpolation =
      json_choice(json, "interpolation", what, {Interpolation::bilinear, Interpolation::bicubic});
  spec.mean = json_channels(json, "mean", what, -10.0f);
  spec.std = json_channels(json, "std", what, 1e-4f);
  return spec;
}

}  // namespace kindred
