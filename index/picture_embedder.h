// Pictures in, unit vectors out: a model, or a baseline that needs none.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "common/base/tensor.h"
#include "common/image/image.h"
#include "common/image/image_spec.h"

namespace kindred {

class PictureEmbedder {
 public:
  virtual ~PictureEmbedder() = default;
  virtual int dim() const = 0;
  /// What galleries are bound to.
  virtual std::string id() const = 0;
  virtual ImageSpec image_spec() const = 0;
  /// Pictures of image_spec().channels channels; out [images.size(), dim()], unit rows. Not thread-safe.
  virtual void embed(std::span<const Image> images, float* out) = 0;
};

/// The network of a model file. Throws Error.
std::unique_ptr<PictureEmbedder> make_model_embedder(const std::string& path, Device device, DType compute);

/// A baseline by name: "color_histogram". Throws Error on any other.
std::unique_ptr<PictureEmbedder> make_baseline_embedder(const std::string& name);

}  // namespace kindred
