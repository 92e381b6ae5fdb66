// Images in, unit vectors out: the one door that index, evaluation and serving use.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/tensor.h"
#include "common/image/image.h"
#include "common/models/model.h"

namespace kindred {

class Embedder {
 public:
  /// Opens a model file and warms up. `max_batch`: the largest batch run at once; images beyond are run in turns.
  /// Throws Error when the file is no retrieval model.
  static Embedder open(const std::string& path, Device device = {}, int max_batch = 16);
  Embedder(Embedder&&) noexcept;
  ~Embedder();

  int dim() const;
  const std::string& model_id() const;
  const ImageSpec& image_spec() const;
  const ModelConfig& config() const;

  /// out [n, dim()]: unit rows, independent of how images are grouped into calls. Not thread-safe: one at a time.
  void embed(std::span<const Image> images, float* out);

 private:
  struct Impl;
  explicit Embedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
