// How well an embedder tells kinds apart: ranking metrics and verification metrics of labelled vectors, exact
// over all pairs, as numbers, as JSON, and with the nearest pictures for people to look at.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/metrics/retrieval.h"
#include "common/metrics/verification.h"
#include "index/embed_pictures.h"
#include "index/gallery.h"

namespace kindred {

/// Vectors with the pictures they come from.
struct LabelledVectors {
  int dim = 0;
  std::vector<float> vectors;  // [n, dim], unit rows
  std::vector<std::string> labels, paths;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

LabelledVectors labelled_vectors(const Gallery& gallery);
/// Embeds the pictures; those that cannot be read are left out and added to `skipped`.
LabelledVectors labelled_vectors(PictureEmbedder& embedder, std::span<const Picture> pictures,
                                 std::vector<SkippedPicture>& skipped);

/// The same with labels and paths as numbers; items without a label are left out.
struct IndexedVectors {
  int dim = 0;
  std::vector<float> vectors;
  std::vector<int64_t> labels, ids;
  std::vector<size_t> origin;  // index in the LabelledVectors

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  VectorSet view() const { return {vectors, dim, labels, ids}; }
};

/// Numbers for labels and paths, shared by the sets that are compared: equal paths are the same picture.
class LabelTable {
 public:
  IndexedVectors index(const LabelledVectors& set);
  int64_t classes() const { return static_cast<int64_t>(labels_.size()); }

 private:
  std::map<std::string, int64_t> labels_, paths_;
};

/// A query and its nearest pictures.
struct Retrieval {
  struct Hit {
    std::string path, label;
    float score = 0;
  };
  std::string path, label;
  std::vector<Hit> hits;  // nearest first
};

struct Evaluation {
  std::string name;  // what was evaluated, for the heading of its column
  int dim = 0;
  int64_t queries = 0, gallery = 0, classes = 0, unlabelled = 0;
  bool leave_one_out = false;  // the queries are the gallery; each is left out of its own answers
  RetrievalMetrics retrieval;
  VerificationMetrics verification;
};

inline constexpr int kRecallAt[] = {1, 2, 3, 5, 10, 20, 50};
inline constexpr double kTargetFprs[] = {1e-1, 1e-2, 1e-3};

/// `gallery` null: every query against all others. Throws Error when there is nothing to compare.
Evaluation evaluate(const std::string& name, const LabelledVectors& queries, const LabelledVectors* gallery);

/// `count` queries spread evenly over the labelled ones, with their k nearest.
std::vector<Retrieval> sample_retrievals(const LabelledVectors& queries, const LabelledVectors* gallery,
                                         int count, int k);

Json to_json(const Evaluation& evaluation);
/// Throws Error naming `what` and the key that is missing or wrong.
Evaluation evaluation_from_json(const Json& json, const std::string& what);

/// A table for people, one column for each.
std::string text(std::span<const Evaluation> evaluations);

}  // namespace kindred
