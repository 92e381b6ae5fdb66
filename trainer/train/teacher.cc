#include "trainer/train/teacher.h"

#include "common/base/parallel.h"
#include "common/models/model_file.h"

namespace kindred {

Teacher::Teacher(const std::string& path, const ImageSpec& student, int64_t batch, Stream& stream)
    : config_(read_model_info(path).config), student_(student), stream_(stream) {
  const ImageSpec& own = config_.image;
  if (config_.embedding == 0) fail(path, ": a classifier, not a retrieval model; a teacher gives embeddings");
  if (own.height != student.height || own.width != student.width) {
    fail(path, ": made for images of ", own.height, "x", own.width, ", this run has ", student.height, "x",
         student.width, "; set model.image_size to the teacher's");
  }
  build_model(parameters_, config_, 1);
  parameters_.freeze(stream);
  load_weights(path, parameters_);
  program_ = std::make_unique<Program>(build_model(parameters_, config_, batch), stream, CompileOptions{});
  pixels_ = Tensor({batch, own.height, own.width, 3});
}

Tensor Teacher::embed(const Tensor& images) {
  const ImageSpec& own = config_.image;
  const float *const from = images.f32(), *const end = from + images.elements();
  float* const to = pixels_.f32();
  parallel_ranges((end - from) / 3, 4096, [&](int64_t first, int64_t last) {
    for (int64_t pixel = first; pixel < last; ++pixel) {
      for (size_t c = 0; c < 3; ++c) {
        const int64_t i = 3 * pixel + static_cast<int64_t>(c);
        to[i] = (from[i] * student_.std[c] + student_.mean[c] - own.mean[c]) / own.std[c];
      }
    }
  });
  stream_.copy(program_->input("image"), pixels_);
  program_->forward();
  return program_->output("embedding");
}

}  // namespace kindred
