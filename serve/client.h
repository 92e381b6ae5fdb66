// Asks a running daemon.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "serve/api.h"

namespace kindred {

class Client {
 public:
  /// `url` as parse_server_url reads it. `timeout` bounds each request, connecting included.
  explicit Client(std::string_view url, std::chrono::milliseconds timeout = std::chrono::seconds(60));

  /// One request over a new connection. Throws Error: no such host, nobody listens, no answer in time.
  HttpResponse send(const HttpRequest& request) const;

  /// The nearest of one image file. Throws Problem with the daemon's own words, and as `send` does.
  SearchResponse search(const std::string& image_bytes, int k, const ThresholdChoice& threshold) const;

 private:
  const ServerUrl url_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace kindred
