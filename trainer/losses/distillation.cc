// Distillation: a student learns the embeddings of a teacher for the same images. With s and t the scores of
// two rows by student and teacher:
//   L = cosine_weight * mean over rows of (1 - e . t) + similarity_weight * mean over pairs of (s - t)^2.
// The first needs a teacher of the student's length, the second only compares who is like whom.
// Source: Park, Kim, Lu, Cho, "Relational Knowledge Distillation", CVPR 2019; Tung, Mori,
// "Similarity-Preserving Knowledge Distillation", ICCV 2019; a frozen teacher on the student's own augmented
// images as in Cui et al., "Beyond Self-Supervision: A Simple Yet Effective Network Distillation Alternative
// to Improve Backbones" (SSLD), 2021.
#include <algorithm>

#include "common/base/option_rules.h"
#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_sums.h"

namespace kindred {
namespace {

class Distillation : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add<std::string>("distillation.teacher", "",
                             "model file of the teacher; it must read images of the run's size");
    options.add("distillation.cosine_weight", 1.0, "weight of 1 - cosine(student, teacher)");
    options.add("distillation.similarity_weight", 1.0, "weight of the difference of similarity matrices");
  }

  explicit Distillation(const Options& options)
      : teacher_(options.get<std::string>("distillation.teacher")),
        cosine_weight_(options.get<double>("distillation.cosine_weight")),
        similarity_weight_(options.get<double>("distillation.similarity_weight")) {
    require_option(options, "distillation.cosine_weight", cosine_weight_ >= 0, "at least 0");
    require_option(options, "distillation.similarity_weight",
                   similarity_weight_ >= 0 && cosine_weight_ + similarity_weight_ > 0,
                   "at least 0, and more than 0 where distillation.cosine_weight is 0");
  }

  std::string teacher() const override { return teacher_; }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    if (!batch.teacher) fail("distillation: distillation.teacher must name a model file");
    const int64_t rows = batch.embeddings.shape()[0], dim = batch.embeddings.shape()[1];
    if (cosine_weight_ > 0 && batch.teacher.shape()[1] != dim) {
      fail("distillation: the teacher's embeddings have ", batch.teacher.shape()[1],
           " values, the student's ", dim,
           "; set model.embedding to the teacher's, or distillation.cosine_weight to 0");
    }
    const auto all = static_cast<double>(batch.all_embeddings.shape()[0]);
    const double pairs = std::max(1.0, all * (all - 1));
    stream.zero(sized(stream, differences_, Shape{rows}));
    if (similarity_weight_ > 0) compare(stream, batch, gradients, 2 * weight * similarity_weight_ / pairs);
    draw_near(stream, batch, gradients, weight * cosine_weight_ / all);
    const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
    return {cosine_weight_ * sums[kApart] / all + similarity_weight_ * sums[kDifference] / pairs, 1, 0, 0};
  }

  /// Adds each row's squared differences to differences_, and their gradients, a tile of columns at a time.
  void compare(Stream& stream, const EmbeddingBatch& batch, const EmbeddingGradients& gradients,
               double scale) {
    const int64_t rows = batch.embeddings.shape()[0], columns = batch.all_embeddings.shape()[0];
    const int64_t dim = batch.embeddings.shape()[1], teacher_dim = batch.teacher.shape()[1];
    const int64_t most = batch.tile_bytes / (2 * rows * static_cast<int64_t>(sizeof(float)));
    const int64_t width = std::clamp<int64_t>(most, 1, columns);
    float* const scores = sized(stream, scores_, Shape{rows, width}).f32();
    float* const wanted = sized(stream, wanted_, Shape{rows, width}).f32();
    for (int64_t first = 0; first < columns; first += width) {
      const int64_t n = std::min(width, columns - first);
      const float *const them = batch.all_embeddings.f32() + first * dim, *const taught =
                                                                              batch.all_teacher.f32() +
                                                                              first * teacher_dim;
      gemm(stream, Transpose::no, Transpose::yes, rows, n, dim, 1, batch.embeddings.f32(), dim, them, dim, 0,
           scores, n);
      gemm(stream, Transpose::no, Transpose::yes, rows, n, teacher_dim, 1, batch.teacher.f32(), teacher_dim,
           taught, teacher_dim, 0, wanted, n);
      subtract(stream, rows, n, batch.first_row - first);
      const auto alpha = static_cast<float>(scale);
      gemm(stream, Transpose::no, Transpose::no, rows, dim, n, alpha, scores, n, them, dim, 1,
           gradients.anchors.f32(), dim);
      gemm(stream, Transpose::yes, Transpose::no, n, dim, rows, alpha, scores, n, batch.embeddings.f32(), dim,
           1, gradients.references.f32() + first * dim, dim);
    }
  }

  /// scores -= wanted, but 0 in column `self` + r of row r; adds the squares to differences_.
  void subtract(Stream& stream, int64_t rows, int64_t n, int64_t self) {
    float *const scores = scores_.f32(), *const differences = differences_.f32();
    const float* const wanted = wanted_.f32();
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          float* const own = scores + r * n;
          row.each(n, [=](int64_t c) { own[c] = c == self + r ? 0 : own[c] - wanted[r * n + c]; });
          const float square = row.sum(n, [=](int64_t c) { return own[c] * own[c]; });
          row.once([=] { differences[r] += square; });
        },
        n);
  }

  /// Writes the rows' numbers, and adds the gradient of the cosines.
  void draw_near(Stream& stream, const EmbeddingBatch& batch, const EmbeddingGradients& gradients,
                 double scale) {
    const int64_t rows = batch.embeddings.shape()[0], dim = batch.embeddings.shape()[1];
    const int64_t shared = cosine_weight_ > 0 ? dim : 0;
    const float *const student = batch.embeddings.f32(), *const teacher = batch.teacher.f32();
    const float* const differences = differences_.f32();
    float *const to = gradients.anchors.f32(), *const all_sums = sums_.begin(stream, rows, kNumbers);
    const auto alpha = static_cast<float>(scale);
    launch_rows(
        stream, rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float *const own = student + r * dim, *const goal = teacher + r * dim;
          const float score = row.sum(shared, [=](int64_t i) { return own[i] * goal[i]; });
          row.each(shared, [=](int64_t i) { to[r * dim + i] -= alpha * goal[i]; });
          row.once([=] {
            all_sums[r * kNumbers + kApart] = 1 - score;
            all_sums[r * kNumbers + kDifference] = differences[r];
          });
        },
        dim);
  }

 private:
  enum Number { kApart, kDifference, kNumbers };

  const std::string teacher_;
  const double cosine_weight_, similarity_weight_;
  Tensor scores_, wanted_, differences_;
  RowSums sums_;
};

KINDRED_LOSS("distillation", Distillation, "learns the embeddings of a trained model");

}  // namespace
}  // namespace kindred
