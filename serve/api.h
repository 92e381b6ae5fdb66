// What the daemon is asked and what it answers, and both as JSON. No sockets, no models.
//
//   POST /v1/search  {"k": 5, "threshold": {"target_fpr": 0.01},
//                     "queries": [{"image": {"base64": "..."}}, {"vector": [...]}, {"id": "sku-17"}]}
//   also: an image as the body (Content-Type: image/...), or multipart/form-data with parts named "image";
//   k, threshold and target_fpr are then parameters of the target or parts of the form.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "index/gallery.h"
#include "serve/http.h"
#include "serve/problem.h"

namespace kindred {

struct ApiLimits {
  int64_t queries = 64, k = 1000;
  int64_t timeout_ms = 30'000;  // what a request gets that asks for nothing; also the most it may ask for
};

struct ImageQuery {
  std::string bytes;  // of a JPEG, PNG or WebP file
};
struct VectorQuery {
  std::vector<float> vector;  // any length, any norm: checked when it is used
};
struct IdQuery {
  std::string id;  // of an item in the gallery, which is left out of its own answer
};
using Query = std::variant<ImageQuery, VectorQuery, IdQuery>;

struct NoThreshold {};
struct TargetFpr {
  double fpr;
};
/// monostate: whatever the daemon was started with.
using ThresholdChoice = std::variant<std::monostate, NoThreshold, double, TargetFpr>;

struct SearchRequest {
  std::vector<Query> queries;
  int k = 10;
  ThresholdChoice threshold;
  int64_t timeout_ms = 30'000;
};

struct EmbedRequest {
  std::vector<std::string> images;
  int64_t timeout_ms = 30'000;
};

/// Throw Problem: 400 syntax, 413 too many, 415 a body of another type, 422 values out of range.
SearchRequest parse_search_request(const HttpRequest& request, const ApiLimits& limits);
EmbedRequest parse_embed_request(const HttpRequest& request, const ApiLimits& limits);

/// A number in [-1, 1] or "none", as text. Throws Problem 422.
ThresholdChoice parse_threshold(std::string_view text);
ThresholdChoice parse_target_fpr(std::string_view text);

/// The threshold that an answer used; `calibration` when it came from a target.
struct AppliedThreshold {
  double value = 0;
  std::optional<CalibratedThreshold> calibration;
};

/// none: no threshold was in force.
enum class Decision : uint8_t { none, match, unknown };

struct SearchResult {
  Decision decision = Decision::none;
  std::vector<GalleryHit> hits;                    // nearest first, all at or above the threshold
  std::optional<GalleryHit> best_below_threshold;  // of an unknown
  std::optional<Problem> problem;                  // then the rest is empty
};

struct StageTimes {
  double decode_ms = 0, embed_ms = 0, search_ms = 0;
};

struct SearchResponse {
  std::string model_id;
  std::optional<AppliedThreshold> threshold;
  std::vector<SearchResult> results;  // one for each query, in order
  StageTimes times;

  Json to_json() const;
  /// For clients. Throws Error when the answer is of another form.
  static SearchResponse from_json(const Json& json);
};

struct EmbedResponse {
  std::string model_id;
  int dim = 0;
  std::vector<std::variant<std::vector<float>, Problem>> embeddings;  // one for each image, in order

  Json to_json() const;
};

}  // namespace kindred
