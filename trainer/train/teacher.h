// A trained model that a student learns from: it embeds the very images that the student sees.
#pragma once

#include <string>

#include "common/engine/program.h"
#include "common/models/model.h"

namespace kindred {

class Teacher {
 public:
  /// path: a model file. student: the preprocessing of the images that will come; mean and deviation are
  /// turned into the teacher's. Throws Error: no retrieval model, or made for images of another size.
  Teacher(const std::string& path, const ImageSpec& student, int64_t batch, Stream& stream);

  int dim() const { return config_.embedding; }
  /// images [B, H, W, 3] on the host, as the student's network reads them. Unit rows [B, dim()], valid until
  /// the next call.
  Tensor embed(const Tensor& images);

 private:
  ModelConfig config_;
  ImageSpec student_;
  Stream& stream_;
  ParameterSet parameters_;
  Tensor pixels_;  // on the host
  std::unique_ptr<Program> program_;
};

}  // namespace kindred
