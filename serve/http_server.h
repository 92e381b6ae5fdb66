// Requests over sockets: HTTP/1.1 on one network thread, answers computed by a pool of workers.
// Every wait has a time limit and every buffer a size limit; what goes past them is refused with a status.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/http.h"
#include "serve/problem.h"

namespace kindred {

struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 8770;  // 0: any free one
  bool insecure_bind = false;
  int64_t header_bytes = 8 << 10, body_bytes = 16 << 20;
  int64_t connections = 256;
  int64_t waiting_requests = 256;  // being answered or waiting for a worker; more get 429
  int workers = 16;                // most of them wait for a batch at any time
  std::chrono::milliseconds idle_timeout{60'000}, header_timeout{10'000}, body_timeout{30'000};
  std::chrono::milliseconds write_timeout{30'000};
};

class HttpServer {
 public:
  /// What answers a whole request (on a worker), and what words a refusal (on the network thread). Neither
  /// throws.
  using Refuse = std::function<HttpResponse(const Problem&)>;

  /// Listens and serves from now on. Throws Error when it cannot listen, and UsageError for an address that
  /// other machines reach, unless `insecure_bind`: nothing here asks who is calling.
  HttpServer(const ServerOptions& options, HttpHandler handler, Refuse refuse);
  /// Finishes the answers being computed, then closes whatever is open.
  ~HttpServer();

  int port() const;

  /// Begins to shut down: no new connections, connections without a request are closed, requests that have
  /// begun to arrive are answered. Does not wait.
  void drain();
  /// True when the last connection is gone after drain().
  bool drained() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kindred
