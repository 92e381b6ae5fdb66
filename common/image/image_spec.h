// The one description of preprocessing that training, indexing and serving obey. It is part of the model
// file.
#pragma once

#include <array>
#include <string>

#include "common/base/json.h"

namespace kindred {

enum class ResizeMode : uint8_t {
  stretch,      // straight to height x width, aspect ignored (the retrieval recipes)
  center_crop,  // short side to `resize_short`, then the middle height x width (the classification recipes)
};
enum class Interpolation : uint8_t { bilinear, bicubic };  // PIL semantics: antialiased when shrinking

constexpr int kMaxChannels = 4;

struct ImageSpec {
  int height = 224, width = 224;
  int channels = 3;  // 1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha
  ResizeMode resize = ResizeMode::stretch;
  int resize_short = 0;  // center_crop only
  Interpolation interpolation = Interpolation::bilinear;
  /// Of each channel; what lies past the last one is zero.
  std::array<float, kMaxChannels> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};

  Json to_json() const;
  /// Throws Error naming the key that is missing or wrong.
  static ImageSpec from_json(const Json& json, std::string_view what);
  bool operator==(const ImageSpec&) const = default;
};

/// An RGB spec for pictures of other channels: grey has the means of the three, opaque is 0 and transparent
/// -1 in alpha. Requires: channels 1 to 4.
ImageSpec with_channels(ImageSpec spec, int channels);

}  // namespace kindred
