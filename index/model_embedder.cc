// A model file as a PictureEmbedder.
#include "common/embedder.h"
#include "index/picture_embedder.h"

namespace kindred {

namespace {

constexpr int kMaxBatch = 16;

class ModelEmbedder : public PictureEmbedder {
 public:
  explicit ModelEmbedder(Embedder embedder) : embedder_(std::move(embedder)) {}
  int dim() const override { return embedder_.dim(); }
  std::string id() const override { return embedder_.model_id(); }
  ImageSpec image_spec() const override { return embedder_.image_spec(); }
  void embed(std::span<const Image> images, float* out) override { embedder_.embed(images, out); }

 private:
  Embedder embedder_;
};

}  // namespace

std::unique_ptr<PictureEmbedder> make_model_embedder(const std::string& path, Device device, DType compute) {
  return std::make_unique<ModelEmbedder>(Embedder::open(path, device, kMaxBatch, compute));
}

}  // namespace kindred
