// Class centres (proxies, the rows of a last linear layer) as columns of a score matrix: one or more for each
// class, on every rank or shared out among the ranks, all of them or a sample that changes from step to step.
// Source of sharing and sampling: An et al., "Partial FC: Training 10 Million Identities on a Single
// Machine", ICCVW 2021. Here classes are drawn one by one from (seed, step, class): the same ones for any
// number of ranks.
#pragma once

#include <string>
#include <vector>

#include "common/engine/launch.h"
#include "trainer/losses/loss.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {  // compiled once per device: each has its own

/// What a loss wants of its centres.
struct CentreSpec {
  std::string loss;   // options and parameter are named after it: "arcface.centres"
  int per_class = 1;  // rows [class * per_class, (class + 1) * per_class)
  double pool = 0;    // a class's score: 0: its centres' largest; else their mean under softmax(s / pool)
  bool normalised = true;  // scores are cosines; else products with the centres as they are
  bool raw = false;        // rows are the embeddings before L2
  double init_std = 0;     // of fresh centres; 0: Glorot and Bengio, AISTATS 2010
};

class ClassCentres {
 public:
  /// LOSS.centre_lr, and with `shardable` LOSS.sharded and LOSS.sample_rate.
  static void declare_options(Options& options, const std::string& loss, bool shardable = true);
  ClassCentres(const Options& options, CentreSpec spec, bool shardable = true);
  void declare(ParameterSet& parameters, int dim, int64_t classes);

  /// Picks the classes of the step and scores [rows(), columns()] this rank's anchors against them; when
  /// sharded, the anchors of all ranks against this rank's part of them. The result is for the caller to turn
  /// into dL/dS. Throws Error: a label that is no class.
  const Tensor& score(Stream& stream, const EmbeddingBatch& batch);
  int64_t rows() const { return rows_.shape()[0]; }
  int64_t columns() const { return static_cast<int64_t>(classes_.size()); }
  /// [rows()], the column of each row's own class; -1 where another rank holds it.
  const int64_t* own_columns() const { return own_columns_.data<int64_t>(); }
  bool sharded() const { return sharded_; }

  /// Unit (or plain) centres of the step, [columns() * per_class, D], and dL/d(them) of this rank, complete
  /// after `back`, for the caller to add to before `finish`.
  const Tensor& directions() const { return directions_; }
  const Tensor& direction_gradients() const { return direction_gradients_; }

  /// From dL/dS in the matrix that `score` returned, times alpha: adds to the gradients of embeddings and
  /// writes direction_gradients.
  void back(Stream& stream, const EmbeddingGradients& gradients, double alpha);
  /// Adds direction_gradients to those of the parameter.
  void finish(Stream& stream);

  // Kernels; public because nvcc asks for it.
  void gather_directions(Stream& stream);
  void pool(Stream& stream);
  void unpool(Stream& stream);
  void through_normalisation(Stream& stream, float* to, const int64_t* row_of);

 private:
  void choose_classes(Stream& stream, const EmbeddingBatch& batch);
  int64_t dim() const { return rows_.shape()[1]; }
  int64_t centres() const { return columns() * spec_.per_class; }

  const CentreSpec spec_;
  const double rate_scale_;
  bool sharded_ = false;
  double sample_rate_ = 1;
  ParameterSet* parameters_ = nullptr;
  Param param_;
  int64_t all_classes_ = 0, first_class_ = 0, local_classes_ = 0;

  std::vector<int64_t> classes_;  // of the step, counted from first_class_, ascending
  Tensor rows_, row_of_centre_, own_columns_;
  Tensor directions_, inverse_norms_, direction_gradients_, centre_gradients_;
  Tensor centre_scores_, class_scores_;  // [rows, centres], [rows, columns]; the same where per_class is 1
};

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
