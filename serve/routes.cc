#include "serve/routes.h"

#include <chrono>
#include <cmath>

#include "common/base/log.h"
#include "common/base/version.h"

namespace kindred {

namespace {

HttpResponse json_response(const Json& json, int status = 200) {
  return {status, "application/json", json_text(json), {}};
}

/// Embeddings as rows of little-endian floats; all or nothing.
HttpResponse binary_response(const EmbedResponse& response) {
  HttpResponse binary{200,
                      "application/octet-stream",
                      "",
                      {{"X-Kindred-Dim", concat(response.dim)}, {"X-Kindred-Model", response.model_id}}};
  for (const auto& embedding : response.embeddings) {
    if (const Problem* problem = std::get_if<Problem>(&embedding)) throw *problem;
    const auto& vector = std::get<std::vector<float>>(embedding);
    binary.body.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
  }
  return binary;
}

HttpResponse problem_response(const Problem& problem, std::string_view instance) {
  Json json = problem.to_json();
  json["instance"] = instance;
  HttpResponse response{problem.status(), "application/problem+json", json_text(json), {}};
  if (problem.status() == 429 || problem.status() == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace

struct Routes::Route {
  std::string_view method, path;
  HttpResponse (*run)(Routes&, const HttpRequest&);
};

Routes::Routes(const ApiLimits& limits, Metrics& metrics) : limits_(limits), metrics_(metrics) {
  metrics_.declare_counter("kindred_http_requests_total", "Requests answered, by route and status.");
  metrics_.declare_counter("kindred_http_refused_total", "Refused before they were requests, by reason.");
  metrics_.declare_histogram("kindred_http_request_duration_seconds",
                             "Time from a whole request to its answer.",
                             {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30});
}

void Routes::open(std::shared_ptr<Service> service) {
  const std::lock_guard lock(mutex_);
  service_ = std::move(service);
}

std::shared_ptr<Service> Routes::service() const {
  const std::lock_guard lock(mutex_);
  if (!service_) throw Problem(503, "loading", "the daemon is loading its model and gallery");
  return service_;
}

HttpResponse Routes::search(const HttpRequest& request) {
  return json_response(service()->search(parse_search_request(request, limits_)).to_json());
}

HttpResponse Routes::embed(const HttpRequest& request) {
  const EmbedResponse response = service()->embed(parse_embed_request(request, limits_));
  if (media_type(request.accept) == "application/octet-stream") return binary_response(response);
  return json_response(response.to_json());
}

HttpResponse Routes::ready() const {
  if (draining_) throw Problem(503, "draining", "the daemon is shutting down");
  service();
  return json_response({{"status", "ready"}});
}

HttpResponse Routes::dispatch(const HttpRequest& request, std::string_view instance,
                              std::string_view& route) {
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/search", [](Routes& self, const HttpRequest& r) { return self.search(r); }},
      {"POST", "/v1/embed", [](Routes& self, const HttpRequest& r) { return self.embed(r); }},
      {"GET", "/v1/galleries/default",
       [](Routes& self, const HttpRequest&) {
         return json_response(to_json(self.service()->gallery_info()));
       }},
      {"GET", "/livez",
       [](Routes&, const HttpRequest&) {
         return json_response({{"status", "alive"}});
       }},
      {"GET", "/readyz", [](Routes& self, const HttpRequest&) { return self.ready(); }},
      {"GET", "/version",
       [](Routes&, const HttpRequest&) {
         return json_response({{"name", "kindred"}, {"version", kVersion}});
       }},
      {"GET", "/metrics",
       [](Routes& self, const HttpRequest&) {
         return HttpResponse{200, "text/plain; version=0.0.4", self.metrics_.text(), {}};
       }},
  };
  const Target target = parse_target(request.target);
  for (const Route& candidate : kRoutes) {
    if (candidate.path != target.path) continue;
    route = candidate.path;
    if (candidate.method == request.method) return candidate.run(*this, request);
    const Problem problem(405, "method-not-allowed", target.path, " answers to ", candidate.method, " only");
    HttpResponse response = problem_response(problem, instance);
    response.headers.emplace_back("Allow", candidate.method);
    return response;
  }
  if (target.path.starts_with("/v1/galleries/")) {
    throw Problem(404, "gallery-not-found", "this daemon has one gallery, 'default'");
  }
  throw Problem(404, "not-found", "there is nothing at '", target.path, "'");
}

HttpResponse Routes::answer(const HttpRequest& request) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string instance = next_instance();
  std::string_view route = "other";  // never what the client made up: label sets stay small
  HttpResponse response;
  try {
    response = dispatch(request, instance, route);
  } catch (const Problem& problem) {
    response = problem_response(problem, instance);
  } catch (const Error& error) {
    response = problem_response(Problem(500, "internal-error", error.what()), instance);
  } catch (const std::exception& exception) {
    log_error(instance, ": ", exception.what());
    response = problem_response(Problem(500, "internal-error", "the daemon failed; see its log"), instance);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  metrics_.count("kindred_http_requests_total", {{"route", route}, {"code", concat(response.status)}});
  metrics_.observe("kindred_http_request_duration_seconds", seconds, {{"route", route}});
  response.headers.emplace_back("X-Request-Id", instance);
  // As JSON, so that no target, however odd, makes a second line.
  log_info(json_text(Json{{"request", instance},
                          {"method", request.method},
                          {"target", request.target.substr(0, 200)},
                          {"status", response.status},
                          {"ms", std::round(seconds * 1e5) / 100},
                          {"bytes_in", request.body.size()},
                          {"bytes_out", response.body.size()}}));
  return response;
}

HttpResponse Routes::refuse(const Problem& problem) {
  const std::string instance = next_instance();
  metrics_.count("kindred_http_refused_total", {{"reason", problem.type()}});
  log_info(json_text(Json{{"request", instance}, {"refused", problem.type()}, {"status", problem.status()}}));
  return problem_response(problem, instance);
}

}  // namespace kindred
