#include "serve/api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>  // memcpy

#include "serve/base64.h"

namespace kindred {

namespace {

constexpr std::string_view kRequest = "request";

// Errors of the JSON helpers become 400s.
template <class F>
auto as_malformed(F&& f) {
  try {
    return f();
  } catch (const Problem&) {
    throw;
  } catch (const Error& error) {
    throw Problem(400, "malformed-json", error.what());
  }
}

template <class T>
T member(const Json& object, std::string_view key, std::string_view what) {
  return as_malformed([&] { return json_get<T>(object, key, what); });
}

void refuse_unknown_keys(const Json& object, std::vector<std::string> known, std::string_view what) {
  if (!object.is_object())
    throw Problem(400, "malformed-json", what, ": expected an object, found ", object.type_name());
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw Problem(400, "unknown-key", what, ": ", unknown_name_text("key", key, known));
  }
}

Json parse_body(const HttpRequest& request) {
  if (request.body.empty()) throw Problem(400, "empty-body", "the request has no body");
  return as_malformed([&] { return parse_json(request.body, kRequest); });
}

int checked_k(int64_t k, const ApiLimits& limits) {
  if (k < 1 || k > limits.k) throw Problem(422, "k-out-of-range", "k is ", k, "; expected 1 to ", limits.k);
  return static_cast<int>(k);
}

int64_t checked_timeout(int64_t timeout_ms, const ApiLimits& limits) {
  if (timeout_ms >= 1 && timeout_ms <= limits.timeout_ms) return timeout_ms;
  throw Problem(422, "timeout-out-of-range", "timeout_ms is ", timeout_ms, "; expected 1 to ",
                limits.timeout_ms);
}

ThresholdChoice checked_threshold(double value) {
  if (value >= -1 && value <= 1) return value;
  throw Problem(422, "threshold-out-of-range", "threshold is ", value, "; expected a cosine in [-1, 1]");
}

ThresholdChoice checked_target(double fpr) {
  if (fpr > 0 && fpr < 1) return TargetFpr{fpr};
  throw Problem(422, "threshold-out-of-range", "target_fpr is ", fpr, "; expected a rate between 0 and 1");
}

// Numbers outside of JSON: parameters and form fields.
template <class Parse>
auto parameter(Parse parse, std::string_view text, std::string_view what) {
  try {
    return parse(text, what);
  } catch (const Error& error) {
    throw Problem(400, "bad-parameter", error.what());
  }
}

ThresholdChoice threshold_of_json(const Json& json) {
  if (json.is_number()) return checked_threshold(json.get<double>());
  if (json.is_string() && json.get<std::string>() == "none") return NoThreshold{};
  if (!json.is_object()) {
    throw Problem(400, "malformed-json", "threshold: expected a number, \"none\" or {\"target_fpr\": rate}");
  }
  refuse_unknown_keys(json, {"target_fpr"}, "threshold");
  return checked_target(member<double>(json, "target_fpr", "threshold"));
}

std::vector<float> floats_of_base64(const std::string& text, std::string_view what) {
  const std::string bytes = decode_base64(text, what);
  if (bytes.size() % sizeof(float) != 0) {
    throw Problem(422, "dimension-mismatch", what, ": ", bytes.size(),
                  " bytes are not a whole count of floats");
  }
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(),
              bytes.size());  // little-endian, as every machine that we build for
  return floats;
}

std::string image_of_json(const Json& json, std::string_view what) {
  refuse_unknown_keys(json, {"base64", "content_type"}, what);  // the type is told by content
  return decode_base64(member<std::string>(json, "base64", what), what);
}

Query query_of_json(const Json& json, std::string_view what) {
  refuse_unknown_keys(json, {"image", "vector", "id"}, what);
  if (json.size() != 1) {
    throw Problem(400, "malformed-json", what, ": expected exactly one of image, vector and id, found ",
                  json.size());
  }
  if (json.contains("image")) return ImageQuery{image_of_json(json["image"], concat(what, ".image"))};
  if (json.contains("id")) return IdQuery{member<std::string>(json, "id", what)};
  if (!json["vector"].is_object()) return VectorQuery{member<std::vector<float>>(json, "vector", what)};
  const std::string where = concat(what, ".vector");
  refuse_unknown_keys(json["vector"], {"f32_base64"}, where);
  return VectorQuery{floats_of_base64(member<std::string>(json["vector"], "f32_base64", where), where)};
}

const Json& checked_list(const Json& json, const char* key, const ApiLimits& limits) {
  if (!json.contains(key) || !json[key].is_array() || json[key].empty()) {
    throw Problem(400, "malformed-json", kRequest, ": '", key, "' must be a list that is not empty");
  }
  if (static_cast<int64_t>(json[key].size()) > limits.queries) {
    throw Problem(413, "too-many-queries", json[key].size(), " ", key, "; at most ", limits.queries,
                  " in one request");
  }
  return json[key];
}

SearchRequest search_of_json(const Json& json, const ApiLimits& limits) {
  refuse_unknown_keys(json, {"gallery", "k", "threshold", "queries", "timeout_ms"}, kRequest);
  SearchRequest search;
  if (json.contains("gallery") && member<std::string>(json, "gallery", kRequest) != "default") {
    throw Problem(404, "gallery-not-found", "this daemon has one gallery, 'default'");
  }
  search.k = checked_k(
      json.contains("k") ? member<int64_t>(json, "k", kRequest) : std::min<int64_t>(10, limits.k), limits);
  search.timeout_ms = json.contains("timeout_ms")
                          ? checked_timeout(member<int64_t>(json, "timeout_ms", kRequest), limits)
                          : limits.timeout_ms;
  if (json.contains("threshold")) search.threshold = threshold_of_json(json["threshold"]);
  for (const Json& query : checked_list(json, "queries", limits)) {
    search.queries.push_back(query_of_json(query, concat("queries[", search.queries.size(), "]")));
  }
  return search;
}

void set_parameter(SearchRequest& search, std::string_view name, std::string_view value,
                   const ApiLimits& limits) {
  if (name == "k") {
    search.k = checked_k(parameter(parse_int, value, name), limits);
  } else if (name == "threshold" || name == "target_fpr") {
    if (!std::holds_alternative<std::monostate>(search.threshold)) {
      throw Problem(400, "bad-parameter", "threshold and target_fpr exclude each other and occur once");
    }
    search.threshold = name == "threshold" ? parse_threshold(value) : parse_target_fpr(value);
  } else if (name == "timeout_ms") {
    search.timeout_ms = checked_timeout(parameter(parse_int, value, name), limits);
  } else {
    throw Problem(
        400, "bad-parameter",
        unknown_name_text("parameter", name,
                          std::array<std::string, 4>{"k", "threshold", "target_fpr", "timeout_ms"}));
  }
}

/// The images of a body that is an image or a form; fields that are no images go to `on_field`.
template <class F>
std::vector<std::string> images_of_body(const HttpRequest& request, const ApiLimits& limits, F&& on_field) {
  const std::string type = media_type(request.content_type);
  if (request.body.empty()) throw Problem(400, "empty-body", "the request has no body");
  if (type.starts_with("image/")) return {request.body};
  if (type != "multipart/form-data") {
    throw Problem(415, "unsupported-media-type", "the body has the content type '", type,
                  "'; expected application/json, image/... or multipart/form-data");
  }
  std::vector<std::string> images;
  for (const FormPart& part : parse_multipart(request.content_type, request.body)) {
    if (part.name == "image") {
      images.emplace_back(part.content);
    } else {
      on_field(part.name, part.content);
    }
  }
  if (images.empty()) throw Problem(400, "bad-multipart", "multipart body: no part is named 'image'");
  if (static_cast<int64_t>(images.size()) > limits.queries) {
    throw Problem(413, "too-many-queries", images.size(), " images; at most ", limits.queries,
                  " in one request");
  }
  return images;
}

/// The shortest decimal that reads back as this float, so that answers are short.
double short_double(float value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  double number = 0;
  std::from_chars(buffer, end, number);
  return number;
}

Json hit_to_json(const GalleryHit& hit) {
  Json json{{"id", hit.item.id},
            {"score", short_double(hit.score)},
            {"label", hit.item.label},
            {"uri", hit.item.uri}};
  if (hit.item.metadata.is_object() && !hit.item.metadata.empty()) json["metadata"] = hit.item.metadata;
  return json;
}

GalleryHit hit_of_json(const Json& json) {
  GalleryHit hit;
  hit.item.id = json_get<std::string>(json, "id", "hit");
  hit.item.label = json_get<std::string>(json, "label", "hit");
  hit.item.uri = json_get<std::string>(json, "uri", "hit");
  hit.item.metadata = json_get_or<Json>(json, "metadata", Json(), "hit");
  hit.score = json_get<float>(json, "score", "hit");
  return hit;
}

constexpr std::array<const char*, 3> kDecisions{"none", "match", "unknown"};

Json result_to_json(const SearchResult& result) {
  if (result.problem) return {{"error", result.problem->to_json()}};
  Json json = Json::object();
  if (result.decision != Decision::none) json["decision"] = kDecisions[static_cast<size_t>(result.decision)];
  json["hits"] = Json::array();
  for (const GalleryHit& hit : result.hits) json["hits"].push_back(hit_to_json(hit));
  if (result.best_below_threshold) json["best_below_threshold"] = hit_to_json(*result.best_below_threshold);
  return json;
}

SearchResult result_of_json(const Json& json) {
  SearchResult result;
  if (json.is_object() && json.contains("error")) {
    result.problem = Problem::from_json(json["error"], 500);
    return result;
  }
  const std::string decision = json_get_or<std::string>(json, "decision", "none", "result");
  const auto known = std::find(kDecisions.begin(), kDecisions.end(), decision);
  if (known == kDecisions.end()) fail("result: unknown decision '", decision, "'");
  result.decision = static_cast<Decision>(known - kDecisions.begin());
  for (const Json& hit : json_get<Json>(json, "hits", "result")) result.hits.push_back(hit_of_json(hit));
  if (json.contains("best_below_threshold"))
    result.best_below_threshold = hit_of_json(json["best_below_threshold"]);
  return result;
}

}  // namespace

ThresholdChoice parse_threshold(std::string_view text) {
  if (text == "none") return NoThreshold{};
  return checked_threshold(parameter(parse_double, text, "threshold"));
}

ThresholdChoice parse_target_fpr(std::string_view text) {
  return checked_target(parameter(parse_double, text, "target_fpr"));
}

SearchRequest parse_search_request(const HttpRequest& request, const ApiLimits& limits) {
  const Target target = parse_target(request.target);
  if (media_type(request.content_type) == "application/json") {
    if (!target.parameters.empty()) {
      throw Problem(400, "bad-parameter",
                    "parameters of the target go with images; put them into the JSON body");
    }
    return search_of_json(parse_body(request), limits);
  }
  SearchRequest search;
  search.k = static_cast<int>(std::min<int64_t>(search.k, limits.k));
  search.timeout_ms = limits.timeout_ms;
  for (const auto& [name, value] : target.parameters) set_parameter(search, name, value, limits);
  auto images = images_of_body(request, limits, [&](std::string_view name, std::string_view value) {
    set_parameter(search, name, value, limits);
  });
  for (std::string& image : images) search.queries.push_back(ImageQuery{std::move(image)});
  return search;
}

EmbedRequest parse_embed_request(const HttpRequest& request, const ApiLimits& limits) {
  EmbedRequest embed;
  embed.timeout_ms = limits.timeout_ms;
  if (media_type(request.content_type) == "application/json") {
    const Json json = parse_body(request);
    refuse_unknown_keys(json, {"images", "timeout_ms"}, kRequest);
    if (json.contains("timeout_ms")) {
      embed.timeout_ms = checked_timeout(member<int64_t>(json, "timeout_ms", kRequest), limits);
    }
    for (const Json& image : checked_list(json, "images", limits)) {
      embed.images.push_back(image_of_json(image, concat("images[", embed.images.size(), "]")));
    }
    return embed;
  }
  embed.images = images_of_body(request, limits, [](std::string_view name, std::string_view) {
    throw Problem(400, "bad-multipart", "multipart body: expected parts named 'image', found '", name, "'");
  });
  return embed;
}

Json SearchResponse::to_json() const {
  Json json{{"gallery", "default"}, {"model", model_id}};
  if (threshold) {
    json["threshold"] = {{"value", threshold->value}};
    if (threshold->calibration) json["threshold"]["calibration"] = kindred::to_json(*threshold->calibration);
  }
  json["results"] = Json::array();
  for (const SearchResult& result : results) json["results"].push_back(result_to_json(result));
  const auto rounded = [](double ms) { return std::round(ms * 100) / 100; };
  json["ms"] = {{"decode", rounded(times.decode_ms)},
                {"embed", rounded(times.embed_ms)},
                {"search", rounded(times.search_ms)}};
  return json;
}

SearchResponse SearchResponse::from_json(const Json& json) {
  SearchResponse response;
  response.model_id = json_get<std::string>(json, "model", "answer");
  if (json.contains("threshold")) {
    response.threshold = AppliedThreshold{json_get<double>(json["threshold"], "value", "threshold"), {}};
    if (json["threshold"].contains("calibration")) {
      const Json& from = json["threshold"]["calibration"];
      const auto number = [&](const char* key) { return json_get<double>(from, key, "calibration"); };
      const auto count = [&](const char* key) { return json_get<int64_t>(from, key, "calibration"); };
      response.threshold->calibration =
          CalibratedThreshold{number("target_fpr"),         number("threshold"),    number("achieved_fpr"),
                              number("true_positive_rate"), count("false_accepts"), count("positive_pairs"),
                              count("negative_pairs")};
    }
  }
  for (const Json& result : json_get<Json>(json, "results", "answer"))
    response.results.push_back(result_of_json(result));
  const Json ms = json_get<Json>(json, "ms", "answer");
  response.times = {json_get<double>(ms, "decode", "ms"), json_get<double>(ms, "embed", "ms"),
                    json_get<double>(ms, "search", "ms")};
  return response;
}

Json EmbedResponse::to_json() const {
  Json json{{"model", model_id}, {"dim", dim}, {"embeddings", Json::array()}};
  for (const auto& embedding : embeddings) {
    if (const Problem* problem = std::get_if<Problem>(&embedding)) {
      json["embeddings"].push_back({{"error", problem->to_json()}});
      continue;
    }
    Json vector = Json::array();
    for (const float x : std::get<std::vector<float>>(embedding)) vector.push_back(short_double(x));
    json["embeddings"].push_back({{"vector", std::move(vector)}});
  }
  return json;
}

}  // namespace kindred
