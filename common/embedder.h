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
  /// Opens a model file and warms up. `max_batch`: the largest batch run at once; images beyond are run in
  /// turns. `compute`: f32 or bf16. Throws Error when the file is no retrieval model.
  static Embedder open(const std::string& path, Device device = {}, int max_batch = 16,
                       DType compute = DType::f32);
  Embedder(Embedder&&) noexcept;
  ~Embedder();

  int dim() const;
  const std::string& model_id() const;
  const ImageSpec& image_spec() const;
  const ModelConfig& config() const;

  /// out [n, dim()]: unit rows. A row depends on its picture alone to 2e-6 (in bf16 1e-2): batches of other
  /// sizes may sum in another order. The same call gives the same bits. Throws Error on an empty picture and
  /// on weights that give no finite numbers. Not thread-safe: one call at a time.
  void embed(std::span<const Image> images, float* out);

 private:
  struct Impl;
  explicit Embedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
