// kindred-serve: answers over HTTP which images of a gallery are nearest to the one that is sent.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>  // _exit

#include <future>
#include <memory>

#include "common/base/log.h"
#include "common/base/options.h"
#include "common/io/file.h"
#include "index/embedder_options.h"
#include "serve/http_server.h"
#include "serve/routes.h"
#include "serve/service.h"
#include "serve/threshold_options.h"

namespace kindred {
namespace {

Options declare_options() {
  Options options("kindred-serve",
                  "Answers over HTTP which images of a gallery are nearest to the ones it is sent.");
  options.add<std::string>("gallery", "", "folder of the gallery, as kindred-index builds it");
  add_embedder_options(options);
  declare_threshold_options(options);  // for requests that name none
  options.accept_config_files();
  options.group("Network");
  options.add<std::string>("address", "127.0.0.1", "address to listen on");
  options.add<int64_t>("port", 8770, "port to listen on; 0 takes a free one");
  options.add<std::string>("port-file", "", "file that gets the port once the daemon is ready");
  options.add<bool>("insecure-bind", false,
                    "listen on an address that other machines reach, without asking for a key");
  options.add<int64_t>("max-connections", 256, "connections open at once; more get 503");
  options.add<int64_t>("max-body-mib", 16, "largest request body");
  options.add<int64_t>("max-waiting", 256, "requests and images that may wait; more get 429");
  options.add<double>("request-timeout", 30, "seconds for a request to arrive and to be answered");
  options.add<double>("drain-timeout", 30, "seconds that open requests get after SIGTERM");
  options.group("Batching");
  options.add<int64_t>("max-batch", 16, "images embedded at once");
  options.add<int64_t>("batch-wait-us", 0, "microseconds that an image waits for others; helps GPUs");
  options.add<int64_t>("workers", 16, "requests answered at once");
  options.footer(
      "POST /v1/search (an image, a form, or JSON), POST /v1/embed, GET /v1/galleries/default,\n"
      "/livez, /readyz, /metrics, /version.  Try: curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' "
      "\\\n"
      "  'http://127.0.0.1:8770/v1/search?k=5'\n"
      "SIGTERM and SIGINT finish what has begun and exit 0; a second one exits 1 at once.");
  return options;
}

int64_t in_range(const Options& options, const char* name, int64_t least, int64_t most) {
  const int64_t value = options.get<int64_t>(name);
  if (value < least || value > most) {
    fail_usage(options.source(name), ": ", name, " is ", value, "; expected ", least, " to ", most);
  }
  return value;
}

std::chrono::milliseconds seconds(const Options& options, const char* name) {
  const double value = options.get<double>(name);
  if (!(value > 0 && value <= 3600))
    fail_usage(options.source(name), ": ", name, " is ", value, "; expected 0 to 3600 seconds");
  return std::chrono::milliseconds(static_cast<int64_t>(value * 1000));
}

/// Waits for SIGTERM or SIGINT, at most `time`. True when one came.
bool wait_for_signal(const sigset_t& signals, std::chrono::milliseconds time) {
  const timespec limit{time.count() / 1000, time.count() % 1000 * 1'000'000};
  return sigtimedwait(&signals, nullptr, &limit) > 0;
}

int run(int argc, const char* const* argv) {
  Options options = declare_options();
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  if (options.get<std::string>("gallery").empty()) fail_usage("--gallery FOLDER is needed; see --help");

  ServerOptions server_options;
  server_options.address = options.get<std::string>("address");
  server_options.port = static_cast<int>(in_range(options, "port", 0, 65535));
  server_options.insecure_bind = options.get<bool>("insecure-bind");
  server_options.connections = in_range(options, "max-connections", 1, 100'000);
  server_options.body_bytes = in_range(options, "max-body-mib", 1, 1024) << 20;
  server_options.waiting_requests = in_range(options, "max-waiting", 1, 100'000);
  server_options.workers = static_cast<int>(in_range(options, "workers", 1, 1024));
  server_options.body_timeout = seconds(options, "request-timeout");
  ApiLimits api_limits;
  api_limits.timeout_ms = seconds(options, "request-timeout").count();
  ServiceOptions service_options;
  service_options.threshold = threshold_option(options);
  service_options.batch.max_batch = in_range(options, "max-batch", 1, 4096);
  service_options.batch.queued_images = in_range(options, "max-waiting", 1, 100'000);
  service_options.batch.max_wait =
      std::chrono::microseconds(in_range(options, "batch-wait-us", 0, 10'000'000));
  const auto drain_timeout = seconds(options, "drain-timeout");

  // Blocked in every thread, so that only the wait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Metrics metrics;
  declare_process_metrics(metrics);
  Routes routes(api_limits, metrics);
  HttpServer server(
      server_options, [&](const HttpRequest& request) { return routes.answer(request); },
      [&](const Problem& problem) { return routes.refuse(problem); });
  log_info("listening on ", server_options.address, ":", server.port(), ", loading");
  auto loading = std::async(std::launch::async, [&] {
    auto embedder = require_embedder(options);
    Gallery gallery = Gallery::open(options.get<std::string>("gallery"), embedder->id());
    routes.open(std::make_shared<Service>(std::move(gallery), std::move(embedder), service_options, metrics));
  });
  while (loading.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (wait_for_signal(signals, std::chrono::milliseconds(20)))
      _exit(0);  // nothing has begun that could be lost
  }
  loading.get();
  log_info("ready");
  if (const std::string& file = options.get<std::string>("port-file"); !file.empty()) {
    write_file(file, concat(server.port(), "\n"));
  }

  while (!wait_for_signal(signals, std::chrono::hours(1))) continue;
  log_info("shutting down: finishing what has begun");
  routes.drain();
  server.drain();
  const auto give_up = std::chrono::steady_clock::now() + drain_timeout;
  while (!server.drained()) {
    if (wait_for_signal(signals, std::chrono::milliseconds(20))) _exit(1);
    if (std::chrono::steady_clock::now() > give_up) {
      log_warning("connections are still open after ", drain_timeout.count() / 1000, " s: closing them");
      break;
    }
  }
  return 0;
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-serve", [&] { return kindred::run(argc, argv); });
}
