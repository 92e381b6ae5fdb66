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

/// A number for each of `channels` channels.
std::array<float, kMaxChannels> json_levels(const Json& json, std::string_view key, std::string_view what,
                                            int channels, float least) {
  const auto values = json_get<std::vector<float>>(json, key, what);
  const auto count = static_cast<size_t>(channels);
  const bool good = values.size() == count && std::all_of(values.begin(), values.end(), [&](float v) {
                      return std::isfinite(v) && v >= least;
                    });
  if (!good) fail(what, ": the key '", key, "' must be ", channels, " numbers, each at least ", least);
  std::array<float, kMaxChannels> levels{};
  std::copy(values.begin(), values.end(), levels.begin());
  return levels;
}

}  // namespace

Json ImageSpec::to_json() const {
  const auto levels = [&](const std::array<float, kMaxChannels>& all) {
    return std::vector<float>(all.begin(), all.begin() + channels);
  };
  return {{"height", height},
          {"width", width},
          {"channels", channels},
          {"resize", text(resize)},
          {"resize_short", resize_short},
          {"interpolation", text(interpolation)},
          {"mean", levels(mean)},
          {"std", levels(std)}};
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
  const auto channels = json_get<int64_t>(json, "channels", what);
  if (channels < 1 || channels > kMaxChannels)
    fail(what, ": the key 'channels' is ", channels, "; expected 1 to ", kMaxChannels);
  spec.channels = static_cast<int>(channels);
  spec.mean = json_levels(json, "mean", what, spec.channels, -10.0f);
  spec.std = json_levels(json, "std", what, spec.channels, 1e-4f);
  return spec;
}

ImageSpec with_channels(ImageSpec spec, int channels) {
  KINDRED_ASSERT(spec.channels == 3 && channels >= 1 && channels <= kMaxChannels);
  spec.channels = channels;
  for (std::array<float, kMaxChannels>* levels : {&spec.mean, &spec.std}) {
    const float alpha = 1, grey = ((*levels)[0] + (*levels)[1] + (*levels)[2]) / 3;
    if (channels == 1) *levels = {grey};
    if (channels == 2) *levels = {grey, alpha};
    if (channels == 4) (*levels)[3] = alpha;
  }
  return spec;
}

}  // namespace kindred
