#include "serve/service.h"

#include <algorithm>
#include <cmath>

namespace kindred {

namespace {

using Clock = EmbedBatcher::Clock;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

Clock::time_point deadline_of(int64_t timeout_ms) {
  return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

}  // namespace

/// Adds the time of its life to `ms` and to the histogram of a stage.
class Service::Stopwatch {
 public:
  Stopwatch(Metrics& metrics, std::string_view stage, double& ms)
      : metrics_(metrics), stage_(stage), ms_(ms) {}
  ~Stopwatch() {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    ms_ += seconds * 1e3;
    metrics_.observe("kindred_stage_duration_seconds", seconds, {{"stage", stage_}});
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  Metrics& metrics_;
  const std::string_view stage_;
  double& ms_;
  const Clock::time_point begin_ = Clock::now();
};

Service::Service(Gallery gallery, std::unique_ptr<PictureEmbedder> embedder, const ServiceOptions& options,
                 Metrics& metrics)
    : gallery_(std::move(gallery)),
      metrics_(metrics),
      decode_limits_(options.decode),
      channels_(embedder->image_spec().channels),
      batcher_(std::move(embedder), options.batch, metrics) {
  const GalleryInfo info = gallery_.info();
  if (info.model_id != batcher_.model_id() || info.dim != batcher_.dim()) {
    fail(gallery_.folder(), ": built for model ", info.model_id, " with dimension ", info.dim,
         ", the embedder is ", batcher_.model_id(), " with dimension ", batcher_.dim(),
         "; rebuild it with 'kindred-index build'");
  }
  metrics_.declare_histogram("kindred_stage_duration_seconds", "Time of a request's stages.",
                             {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10});
  metrics_.declare_histogram("kindred_top1_score", "Cosine of the nearest item.",
                             {-0.5, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1});
  metrics_.declare_counter("kindred_search_decisions_total", "Queries answered, by decision.");
  metrics_.declare_gauge("kindred_gallery_items", "Items that can be found.");
  metrics_.set("kindred_gallery_items", static_cast<double>(info.items));
  threshold_ = resolve(options.threshold);
  warm_up();
}

void Service::warm_up() {
  const Image blank = make_image(64, 64, channels_);
  for (const size_t count : {size_t{1}, static_cast<size_t>(8)}) {
    const std::vector<float> rows = batcher_.embed(std::vector<Image>(count, blank), deadline_of(600'000));
    check_unit_rows(rows, batcher_.dim(), concat("model ", batcher_.model_id()));
    gallery_.search(rows, 1);
  }
}

std::optional<AppliedThreshold> Service::resolve(const ThresholdChoice& choice) const {
  const auto calibrated = [&](const TargetFpr& target) -> std::optional<AppliedThreshold> {
    // The largest calibrated target that does not exceed the wanted one keeps its promise.
    std::optional<CalibratedThreshold> best;
    std::vector<std::string> known;
    for (const CalibratedThreshold& candidate : gallery_.info().thresholds) {
      known.push_back(concat(candidate.target_fpr));
      if (candidate.target_fpr > target.fpr * (1 + 1e-9)) continue;
      if (!best || candidate.target_fpr > best->target_fpr) best = candidate;
    }
    if (!best) {
      throw Problem(422, "calibration-out-of-range",
                    "no threshold is calibrated for a false positive rate of ", target.fpr,
                    known.empty() ? "; run 'kindred-index calibrate'" : concat("; there are: ", join(known)));
    }
    return AppliedThreshold{best->threshold, best};
  };
  return std::visit(Overloaded{[&](std::monostate) { return threshold_; },
                               [](NoThreshold) { return std::optional<AppliedThreshold>(); },
                               [](double value) {
                                 return std::optional(AppliedThreshold{value, {}});
                               },
                               calibrated},
                    choice);
}

Image Service::decode(const std::string& bytes, std::string_view what) const {
  try {
    return decode_image(bytes, what, decode_limits_, channels_);
  } catch (const Error& error) {
    throw Problem(422, "undecodable-image", error.what());
  }
}

std::vector<float> Service::checked_vector(const std::vector<float>& vector) const {
  if (static_cast<int>(vector.size()) != batcher_.dim()) {
    throw Problem(422, "dimension-mismatch", "the vector has ", vector.size(),
                  " numbers, the gallery's have ", batcher_.dim());
  }
  double squares = 0;
  for (const float x : vector) squares += double{x} * x;
  if (!std::isfinite(squares)) throw Problem(422, "not-finite", "the vector has numbers that are not finite");
  if (squares < 1e-12)
    throw Problem(422, "zero-vector", "the vector has no direction: its length is below 1e-6");
  std::vector<float> unit;
  for (const float x : vector) unit.push_back(static_cast<float>(x / std::sqrt(squares)));
  return unit;
}

std::vector<float> Service::stored_vector(const std::string& id) const {
  auto found = gallery_.find_vector(id);
  if (!found) throw Problem(404, "item-not-found", "the gallery has no item '", id, "'");
  return std::move(*found);
}

SearchResult Service::decide(std::vector<GalleryHit> hits, const std::optional<AppliedThreshold>& threshold) {
  SearchResult result;
  if (!hits.empty()) metrics_.observe("kindred_top1_score", hits.front().score);
  if (threshold) {
    const auto accepted = std::find_if(
        hits.begin(), hits.end(), [&](const GalleryHit& hit) { return !(hit.score >= threshold->value); });
    result.decision = accepted == hits.begin() ? Decision::unknown : Decision::match;
    if (result.decision == Decision::unknown && !hits.empty()) result.best_below_threshold = hits.front();
    hits.erase(accepted, hits.end());
  }
  result.hits = std::move(hits);
  constexpr std::string_view kNames[] = {"none", "match", "unknown"};
  metrics_.count("kindred_search_decisions_total",
                 {{"decision", kNames[static_cast<size_t>(result.decision)]}});
  return result;
}

std::vector<std::vector<float>> Service::vectors_of(const SearchRequest& request, SearchResponse& response) {
  const Clock::time_point deadline = deadline_of(request.timeout_ms);
  std::vector<std::vector<float>> vectors(request.queries.size());
  std::vector<Image> images;
  std::vector<size_t> places;  // the query of each image
  {
    const Stopwatch watch(metrics_, "decode", response.times.decode_ms);
    const auto prepare = [&](size_t q) {
      std::visit(Overloaded{[&](const ImageQuery& query) {
                              images.push_back(decode(query.bytes, concat("image ", q)));
                              places.push_back(q);
                            },
                            [&](const VectorQuery& query) { vectors[q] = checked_vector(query.vector); },
                            [&](const IdQuery& query) { vectors[q] = stored_vector(query.id); }},
                 request.queries[q]);
    };
    for (size_t q = 0; q < request.queries.size(); ++q) {
      try {
        prepare(q);
      } catch (const Problem& problem) {
        if (request.queries.size() == 1) throw;
        response.results[q].problem = problem;
      }
    }
  }
  if (images.empty()) return vectors;
  const Stopwatch watch(metrics_, "embed", response.times.embed_ms);
  const std::vector<float> rows = batcher_.embed(std::move(images), deadline);
  for (size_t i = 0; i < places.size(); ++i) {
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(i) * batcher_.dim();
    vectors[places[i]].assign(begin, begin + batcher_.dim());
  }
  return vectors;
}

SearchResponse Service::search(const SearchRequest& request) {
  SearchResponse response;
  response.model_id = batcher_.model_id();
  response.threshold = resolve(request.threshold);
  response.results.resize(request.queries.size());
  const std::vector<std::vector<float>> vectors = vectors_of(request, response);
  std::vector<float> rows;
  for (const std::vector<float>& vector : vectors) rows.insert(rows.end(), vector.begin(), vector.end());
  std::vector<std::vector<GalleryHit>> found;
  if (!rows.empty()) {
    const Stopwatch watch(metrics_, "search", response.times.search_ms);
    found = gallery_.search(rows, request.k + 1);  // one more: an item asked for by id leaves its own answer
  }
  for (size_t q = 0, next = 0; q < vectors.size(); ++q) {
    if (vectors[q].empty()) continue;
    std::vector<GalleryHit>& hits = found[next++];
    if (const auto* self = std::get_if<IdQuery>(&request.queries[q])) {
      std::erase_if(hits, [&](const GalleryHit& hit) { return hit.item.id == self->id; });
    }
    hits.resize(std::min(hits.size(), static_cast<size_t>(request.k)));
    response.results[q] = decide(std::move(hits), response.threshold);
  }
  return response;
}

EmbedResponse Service::embed(const EmbedRequest& request) {
  const Clock::time_point deadline = deadline_of(request.timeout_ms);
  EmbedResponse response;
  response.model_id = batcher_.model_id();
  response.dim = batcher_.dim();
  response.embeddings.resize(request.images.size());
  std::vector<Image> images;
  std::vector<size_t> places;
  for (size_t i = 0; i < request.images.size(); ++i) {
    try {
      images.push_back(decode(request.images[i], concat("image ", i)));
      places.push_back(i);
    } catch (const Problem& problem) {
      if (request.images.size() == 1) throw;
      response.embeddings[i] = problem;
    }
  }
  const std::vector<float> rows = batcher_.embed(std::move(images), deadline);
  for (size_t i = 0; i < places.size(); ++i) {
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(i) * batcher_.dim();
    response.embeddings[places[i]] = std::vector<float>(begin, begin + batcher_.dim());
  }
  return response;
}

}  // namespace kindred
