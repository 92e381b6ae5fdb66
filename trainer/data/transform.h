// Augmentations: one file each, one registration line. Draws come from a Random keyed by (seed, epoch, sample
// id).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/options.h"
#include "common/base/philox.h"
#include "common/base/registry.h"
#include "common/image/image.h"
#include "common/image/image_spec.h"

namespace kindred {

class Transform {
 public:
  virtual ~Transform() = default;
  /// Changes the picture in place; its size may change too. Threads: safe.
  virtual void apply(Image& image, Random& random) const = 0;
};

struct TransformEntry {
  /// Declares the transform's own options under its name: "color_jitter.brightness".
  std::function<void(Options&)> declare;
  std::function<std::unique_ptr<Transform>(const Options&, const ImageSpec&)> make;
};
Registry<TransformEntry>& transform_registry();

/// The named transforms in order ("random_resized_crop horizontal_flip color_jitter random_erasing"); the
/// last step, which brings the picture to spec size, is always there: no names, no augmentation. Throws
/// Error: unknown names with the nearest one; UsageError: option values out of range.
std::vector<std::unique_ptr<Transform>> make_transforms(const std::vector<std::string>& names,
                                                        const Options& options, const ImageSpec& spec);

/// The value of a number option. Throws UsageError when it lies outside [low, high].
double option_in_range(const Options& options, const std::string& name, double low, double high);

/// The colour that becomes zero (to half a grey level) after normalising: what augmentations paint with.
std::array<uint8_t, kMaxChannels> mean_colour(const ImageSpec& spec);

}  // namespace kindred

/// At the foot of a transform's file. T has `static void declare(Options&)` and T(const Options&, const
/// ImageSpec&).
#define KINDRED_TRANSFORM(name, T, help)                                                             \
  [[maybe_unused]] static const bool kindred_registered_##T = ::kindred::transform_registry().add(   \
      name,                                                                                          \
      {&T::declare,                                                                                  \
       [](const ::kindred::Options& options, const ::kindred::ImageSpec& spec)                       \
           -> std::unique_ptr<::kindred::Transform> { return std::make_unique<T>(options, spec); }}, \
      help)
