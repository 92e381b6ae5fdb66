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

struct ImageSpec {
  int height = 224, width = 224;
  ResizeMode resize = ResizeMode::stretch;
  int resize_short = 0;  // center_crop only
  Interpolation interpolation = Interpolation::bilinear;
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};

  Json to_json() const;
  /// Throws Error naming the key that is missing or wrong.
  static ImageSpec from_json(const Json& json, std::string_view what);
  bool operator==(const ImageSpec&) const = default;
};

}  // namespace kindred
