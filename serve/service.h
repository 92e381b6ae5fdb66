// The daemon without its sockets: a gallery, what embeds images, and answers to requests.
#pragma once

#include <optional>
#include <string>

#include "common/image/decode.h"
#include "index/gallery.h"
#include "serve/api.h"
#include "serve/batcher.h"
#include "serve/metrics.h"

namespace kindred {

struct ServiceOptions {
  ThresholdChoice threshold = NoThreshold{};  // for requests that name none
  BatchLimits batch;
  DecodeLimits decode;
};

class Service {
 public:
  /// Warms the embedder up. Throws Error: the gallery is of another model or dimension, the embedder's rows
  /// are no unit vectors, the threshold asks for a target that was not calibrated. `metrics` must live
  /// longer.
  Service(Gallery gallery, std::unique_ptr<PictureEmbedder> embedder, const ServiceOptions& options,
          Metrics& metrics);

  /// One bad query of several becomes a problem in its own result; a single one is thrown as Problem, as is
  /// all that concerns the whole request. Safe from several threads.
  SearchResponse search(const SearchRequest& request);
  EmbedResponse embed(const EmbedRequest& request);

  GalleryInfo gallery_info() const { return gallery_.info(); }

  /// Requests from now on are refused with 503; those inside are finished.
  void close() { batcher_.close(); }

 private:
  class Stopwatch;

  std::optional<AppliedThreshold> resolve(const ThresholdChoice& choice) const;
  Image decode(const std::string& bytes, std::string_view what) const;
  std::vector<float> checked_vector(const std::vector<float>& vector) const;
  std::vector<float> stored_vector(const std::string& id) const;
  /// A unit vector for each query, or an empty one and a problem in its result.
  std::vector<std::vector<float>> vectors_of(const SearchRequest& request, SearchResponse& response);
  SearchResult decide(std::vector<GalleryHit> hits, const std::optional<AppliedThreshold>& threshold);
  void warm_up();

  Gallery gallery_;
  Metrics& metrics_;
  const DecodeLimits decode_limits_;
  const int channels_;  // of the embedder's pictures
  EmbedBatcher batcher_;
  std::optional<AppliedThreshold> threshold_;
};

}  // namespace kindred
