// Embeds a data set with the weights of the moment, every rank a share of its pictures; for evaluation during
// training each picture then asks all others for its class.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/engine/program.h"
#include "common/metrics/retrieval.h"
#include "common/metrics/verification.h"
#include "common/models/model.h"
#include "trainer/data/dataset.h"

namespace kindred {

struct EvaluationResult {
  RetrievalMetrics retrieval;
  VerificationMetrics verification;
  int64_t broken = 0;  // pictures that could not be read; they take no part
  double seconds = 0;
};

/// The pictures of a data set that could be read, as unit vectors.
struct EmbeddedSet {
  std::vector<float> vectors;  // [n, dim]
  int dim = 0;
  std::vector<int64_t> labels, ids;  // [n]; ids: places in Dataset::items, ascending

  VectorSet view() const { return {vectors, dim, labels, ids}; }
};

class Evaluator {
 public:
  /// Compiles an inference program over the same parameters. `batch`: pictures a rank embeds at once.
  Evaluator(Dataset dataset, const ModelConfig& config, ParameterSet& parameters, Stream& stream,
            Communicator& communicator, int64_t batch);

  /// Called by all ranks together; the result is the same on all.
  EvaluationResult run();
  EmbeddedSet embed();

 private:
  Dataset dataset_;
  ModelConfig config_;
  Stream& stream_;
  Communicator& communicator_;
  int64_t batch_, rows_;  // rows_: pictures a rank embeds, the last ones may be padding
  std::unique_ptr<Program> program_;
};

}  // namespace kindred
