#include "trainer/train/teacher.h"

#include "common/base/parallel.h"
#include "common/models/model_file.h"

namespace kindred {

Teacher::Teacher(const std::string& path, const ImageSpec& student, int64_t batch, Stream& stream)
    : config_(read_model_info(path).config), student_(student), stream_(stream) {
  const ImageSpec& own = config_.image;
  if (config_.embedding == 0) fail(path, ": a classifier, not a retrieval model; a teacher gives embeddings");
  if (own.height != student.height || own.width != student.width || own.channels != student.channels) {
    fail(path, ": made for images of ", own.height, "x", own.width, "x", own.channels, ", this run has ",
         student.height, "x", student.width, "x", student.channels,
         "; set model.image_size and model.channels to the teacher's");
  }
  build_model(parameters_, config_, 1);
  parameters_.freeze(stream);
  load_weights(path, parameters_);
  program_ = std::make_unique<Program>(build_model(parameters_, config_, batch), stream, CompileOptions{});
  pixels_ = Tensor({batch, own.height, own.width, own.channels});
}

Tensor Teacher::embed(const Tensor& images) {
  const ImageSpec& own = config_.image;
  const float *const from = images.f32(), *const end = from + images.elements();
  float* const to = pixels_.f32();
  const auto channels = static_cast<size_t>(own.channels);
  parallel_ranges((end - from) / own.channels, 4096, [&](int64_t first, int64_t last) {
    for (int64_t pixel = first; pixel < last; ++pixel) {
      for (size_t c = 0; c < channels; ++c) {
        const int64_t i = own.channels * pixel + static_cast<int64_t>(c);
        to[i] = (from[i] * student_.std[c] + student_.mean[c] - own.mean[c]) / own.std[c];
      }
    }
  });
  stream_.copy(program_->input("image"), pixels_);
  program_->forward();
  return program_->output("embedding");
}

}  // namespace kindred
