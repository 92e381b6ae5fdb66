#include "common/embedder.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/parallel.h"
#include "common/engine/program.h"
#include "common/image/preprocess.h"
#include "common/models/model_file.h"

namespace kindred {

struct Embedder::Impl {
  ModelInfo info;
  std::unique_ptr<Stream> stream;
  const DType compute;
  ParameterSet parameters;
  struct Batch {
    int64_t size;
    std::unique_ptr<Program> program;
  };
  std::vector<Batch> batches;  // by size, the largest first, the last of one image
  Tensor pixels;               // [largest, H, W, C] on the host

  Impl(const std::string& path, Device device, int max_batch, DType computed_in)
      : info(read_model_info(path)), stream(make_stream(device)), compute(computed_in) {
    const ModelConfig& config = info.config;
    if (config.embedding == 0) {
      fail(path, ": a classifier of ", config.classes,
           " classes, not a retrieval model; train one with model.embedding");
    }
    build_model(parameters, config, 1);
    parameters.freeze(*stream);
    load_weights(path, parameters);
    for (int64_t size = max_batch; size > 1; size = (size + 3) / 4) add_batch(size);
    add_batch(1);
    pixels = Tensor({batches.front().size, config.image.height, config.image.width, config.image.channels});
    for (Batch& batch : batches) batch.program->forward();  // kernels pack weights on their first run
    stream->wait();
  }

  void add_batch(int64_t size) {
    batches.push_back({size, std::make_unique<Program>(build_model(parameters, info.config, size), *stream,
                                                       CompileOptions{.compute = compute})});
  }

  /// Runs the first `count` pictures of `images` through the program made for as many.
  void run(const Batch& batch, std::span<const Image> images, float* out) {
    const int64_t picture = pixels.elements() / pixels.shape()[0];
    parallel_for(batch.size, [&](int64_t i) {
      preprocess(images[static_cast<size_t>(i)], info.config.image, pixels.f32() + i * picture);
    });
    stream->copy(batch.program->input("image"), pixels.slice(0, batch.size));
    batch.program->forward();
    const Tensor rows = batch.program->output("embedding");
    stream->copy(out, rows.raw(), rows.bytes());
    stream->wait();
    for (int64_t e = 0; e < rows.elements(); ++e) {
      if (!std::isfinite(out[e]))
        fail("model ", info.model_id.substr(0, 12), " gives embeddings that are not finite");
    }
  }
};

Embedder::Embedder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Embedder::Embedder(Embedder&&) noexcept = default;
Embedder::~Embedder() = default;

Embedder Embedder::open(const std::string& path, Device device, int max_batch, DType compute) {
  if (max_batch < 1) fail("an embedder runs at least 1 image at once; got ", max_batch);
  return Embedder(std::make_unique<Impl>(path, device, max_batch, compute));
}

int Embedder::dim() const { return impl_->info.config.embedding; }
const std::string& Embedder::model_id() const { return impl_->info.model_id; }
const ImageSpec& Embedder::image_spec() const { return impl_->info.config.image; }
const ModelConfig& Embedder::config() const { return impl_->info.config; }

void Embedder::embed(std::span<const Image> images, float* out) {
  for (const Image& image : images) {
    if (image.width < 1 || image.height < 1) fail("an image of ", image.width, "x", image.height, " pixels");
    if (image.channels != image_spec().channels) {
      fail("an image of ", image.channels, " channels; the model takes ", image_spec().channels);
    }
  }
  auto batch = impl_->batches.begin();
  while (!images.empty()) {
    const auto left = static_cast<int64_t>(images.size());
    while (batch->size > left) ++batch;  // ends at the batch of one
    impl_->run(*batch, images, out);
    images = images.subspan(static_cast<size_t>(batch->size));
    out += batch->size * dim();
  }
}

}  // namespace kindred
