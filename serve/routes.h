// Which request goes where: paths and methods, readiness, errors as RFC 9457 problems, one log line and the
// metrics of every request. No sockets here.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "serve/http.h"
#include "serve/metrics.h"
#include "serve/service.h"

namespace kindred {

class Routes {
 public:
  /// `metrics` must live longer.
  Routes(const ApiLimits& limits, Metrics& metrics);

  /// From now on requests are answered; before, they get 503 and /readyz says "loading".
  void open(std::shared_ptr<Service> service);
  /// /readyz says "draining" from now on; everything else still works.
  void drain() { draining_ = true; }

  /// Never throws. Safe from several threads.
  HttpResponse answer(const HttpRequest& request);
  /// Words and counts a refusal of something that never became a request.
  HttpResponse refuse(const Problem& problem);

 private:
  struct Route;

  std::string next_instance() { return concat("request-", ++requests_); }
  HttpResponse dispatch(const HttpRequest& request, std::string_view instance, std::string_view& route);
  std::shared_ptr<Service> service() const;
  HttpResponse search(const HttpRequest& request);
  HttpResponse embed(const HttpRequest& request);
  HttpResponse ready() const;

  const ApiLimits limits_;
  Metrics& metrics_;
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> requests_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<Service> service_;
};

}  // namespace kindred
