// Augmentations: one file each, one registration line. Draws come from a Random keyed by (seed, epoch, sample id).
#pragma once

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
  virtual void apply(Image& image, Random& random) const = 0;
};

struct TransformEntry {
  /// Declares the transform's own options under its name: "color_jitter.brightness".
  std::function<void(Options&)> declare;
  std::function<std::unique_ptr<Transform>(const Options&, const ImageSpec&)> make;
};
Registry<TransformEntry>& transform_registry();

/// The transforms named by option data.augment ("random_resized_crop flip color_jitter random_erasing"), in order;
/// the last step that brings the picture to spec size is always there.
std::vector<std::unique_ptr<Transform>> make_transforms(const std::vector<std::string>& names, const Options& options,
                                                        const ImageSpec& spec);

}  // namespace kindred

/// At the foot of a transform's file. T has `static void declare(Options&)` and T(const Options&, const ImageSpec&).
#define KINDRED_TRANSFORM(name, T, help)                                             \
  [[maybe_unused]] static const bool kindred_registered_##T = ::kindred::transform_registry().add( \
      name,                                                                          \
      {&T::declare,                                                                  \
       [](const ::kindred::Options& options, const ::kindred::ImageSpec& spec)       \
           -> std::unique_ptr<::kindred::Transform> { return std::make_unique<T>(options, spec); }}, \
      help)
