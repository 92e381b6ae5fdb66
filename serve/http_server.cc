#include "serve/http_server.h"

#include <utility>  // Boost 1.74 forgets it before awaitable.hpp

#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <set>
#include <thread>

#include "common/base/parallel.h"
#include "common/base/version.h"

namespace kindred {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kFreshGrace{500};  // during drain, for a connection whose first request is on its way
constexpr milliseconds kLinger{1000};     // for a refused client to read why

/// For co_await: errors are written to `error`, not thrown.
auto into(error_code& error) { return asio::redirect_error(use_awaitable, error); }

/// A socket whose next operation is cancelled at a time limit, so that the client can still be told.
struct Connection : std::enable_shared_from_this<Connection> {
  explicit Connection(tcp::socket s) : socket(std::move(s)), timer(socket.get_executor()) {
    buffer.reserve(64 << 10);
  }

  void limit(milliseconds time) {
    expired = false;
    timer.expires_after(time);
    timer.async_wait([self = shared_from_this(), turn = ++turn_](error_code error) {
      if (error || turn != self->turn_) return;
      self->expired = true;
      error_code ignored;
      self->socket.cancel(ignored);
    });
  }
  void unlimit() {
    ++turn_;
    timer.cancel();
  }

  tcp::socket socket;
  asio::steady_timer timer;
  beast::flat_buffer buffer;  // 64 KiB at once: growing it step by step made large bodies ten times slower
  bool expired = false;       // the last operation ran out of time
  bool idle = true;           // no byte of a next request is here
  int64_t served = 0;

 private:
  int64_t turn_ = 0;  // a timer that fired while a new limit was set must not cancel the new operation
};

/// Runs f on the pool; the coroutine goes on where it was.
template <class F>
auto run_on(asio::thread_pool& pool, F f) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(HttpResponse)>(
      [&pool](auto handler, F work) {
        asio::post(pool, [handler = std::move(handler), work = std::move(work)]() mutable {
          set_thread_count(1);  // requests run beside each other: one of them must not take every core
          HttpResponse response = work();
          const auto executor = asio::get_associated_executor(handler);
          asio::post(executor, [handler = std::move(handler), response = std::move(response)]() mutable {
            handler(std::move(response));
          });
        });
      },
      use_awaitable, std::move(f));
}

tcp::endpoint endpoint_of(const ServerOptions& options) {
  error_code error;
  const auto address =
      asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, error);
  if (error)
    fail_usage("'", options.address, "' is not an address to listen on; expected one like 127.0.0.1 or ::1");
  if (options.port < 0 || options.port > 65535) fail_usage("port ", options.port, " is not in 0..65535");
  if (!address.is_loopback() && !options.insecure_bind) {
    fail_usage("listening on ", options.address,
               " lets every machine that reaches this one query the gallery, and nobody "
               "is asked for a key; put a proxy in front of 127.0.0.1, or say --insecure-bind");
  }
  return {address, static_cast<uint16_t>(options.port)};
}

/// What a failed read means for the client, or nothing when it simply went away.
std::optional<Problem> problem_of(const error_code& error, bool expired, const ServerOptions& options) {
  if (expired) return Problem(408, "client-timeout", "the request did not arrive in time");
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Problem(431, "header-too-large", "the request header is larger than ", options.header_bytes,
                   " bytes");
  }
  if (error == http::error::body_limit) {
    return Problem(413, "body-too-large", "the body is larger than ", options.body_bytes, " bytes");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return Problem(400, "bad-http", "this is not HTTP/1.1: ", error.message());
  }
  return {};
}

}  // namespace

// In the coroutines below no temporary that owns something stands inside a co_await expression: GCC 12
// destroys it twice (GCC bug 99576).
struct HttpServer::Impl {
  Impl(const ServerOptions& o, HttpHandler h, Refuse r)
      : options(o),
        handler(std::move(h)),
        refuse(std::move(r)),
        workers(static_cast<size_t>(o.workers)),
        acceptor(io) {}

  const ServerOptions options;
  const HttpHandler handler;
  const Refuse refuse;
  std::atomic<bool> draining{false};
  std::atomic<int64_t> open{0};  // connections, and the acceptor
  int64_t waiting = 0;
  asio::thread_pool workers;
  asio::io_context io{1};
  tcp::acceptor acceptor;
  // Of the network thread. Behind `io`: sockets and timers must not outlive it.
  std::set<std::shared_ptr<Connection>> connections;
  std::thread network;
  int port = 0;

  void listen() {
    const tcp::endpoint endpoint = endpoint_of(options);
    try {
      acceptor.open(endpoint.protocol());
      acceptor.set_option(asio::socket_base::reuse_address(true));
      acceptor.bind(endpoint);
      acceptor.listen();
    } catch (const boost::system::system_error& error) {
      fail(options.address, ":", options.port, ": cannot listen: ", error.code().message(),
           "; '--port 0' takes any free port");
    }
    port = acceptor.local_endpoint().port();
    ++open;
    asio::co_spawn(io, accept(), asio::detached);
    network = std::thread([this] { io.run(); });
  }

  awaitable<void> accept() {
    asio::steady_timer pause(io);
    while (!draining) {
      error_code error;
      tcp::socket socket = co_await acceptor.async_accept(into(error));
      if (!error) {
        admit(std::move(socket));
      } else if (!draining) {  // out of file descriptors, say: let some be closed
        pause.expires_after(milliseconds(50));
        co_await pause.async_wait(into(error));
      }
    }
    --open;
  }

  void admit(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const bool full = static_cast<int64_t>(connections.size()) >= options.connections;
    const auto connection = std::make_shared<Connection>(std::move(socket));
    ++open;
    if (!full) connections.insert(connection);
    asio::co_spawn(io, full ? turn_away(connection) : serve(connection), asio::detached);
  }

  awaitable<void> serve(std::shared_ptr<Connection> connection) {
    for (bool again = true; again; ++connection->served) again = co_await serve_one(*connection);
    close(*connection);
    connections.erase(connection);
    --open;
  }

  awaitable<void> turn_away(std::shared_ptr<Connection> connection) {
    HttpResponse response =
        refuse(Problem(503, "too-many-connections", options.connections, " connections are open"));
    co_await write(*connection, response, 11, false);
    close(*connection);
    --open;
  }

  static void close(Connection& connection) {
    connection.unlimit();
    error_code ignored;
    connection.socket.shutdown(tcp::socket::shutdown_both, ignored);
    connection.socket.close(ignored);
  }

  /// One request and its answer. True when the connection stays open for another one.
  awaitable<bool> serve_one(Connection& connection) {
    error_code error;
    if (connection.buffer.size() == 0) {
      connection.idle = true;
      connection.limit(draining ? kFreshGrace : options.idle_timeout);
      const size_t bytes =
          co_await connection.socket.async_read_some(connection.buffer.prepare(4096), into(error));
      connection.idle = false;
      connection.buffer.commit(bytes);
      if (error) co_return false;
    }

    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<uint32_t>(options.header_bytes));
    parser.body_limit(static_cast<uint64_t>(options.body_bytes));
    connection.limit(options.header_timeout);
    co_await http::async_read_header(connection.socket, connection.buffer, parser, into(error));
    if (!error) {
      connection.limit(options.body_timeout);
      if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        co_await asio::async_write(connection.socket, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                                   into(error));
      }
      if (!error) co_await http::async_read(connection.socket, connection.buffer, parser, into(error));
    }
    if (error) {
      const auto problem = problem_of(error, connection.expired, options);
      if (problem) co_await refuse_and_linger(connection, *problem);
      co_return false;
    }
    connection.unlimit();
    const unsigned version = parser.get().version();
    const bool keep_alive = parser.keep_alive();
    HttpResponse response;
    if (waiting >= options.waiting_requests) {
      response = refuse(Problem(429, "queue-full", waiting, " requests wait; try again in a moment"));
    } else {
      ++waiting;
      auto work = [this, request = take_request(parser)] { return handler(request); };
      response = co_await run_on(workers, std::move(work));
      --waiting;
    }
    co_return co_await write(connection, response, version, keep_alive);
  }

  static HttpRequest take_request(http::request_parser<http::string_body>& parser) {
    auto message = parser.release();
    const auto text = [](beast::string_view view) { return std::string(view.data(), view.size()); };
    return {text(message.method_string()), text(message.target()), text(message[http::field::content_type]),
            text(message[http::field::accept]), std::move(message.body())};
  }

  awaitable<bool> write(Connection& connection, HttpResponse& response, unsigned version, bool keep_alive) {
    http::response<http::string_body> message(static_cast<http::status>(response.status), version);
    message.set(http::field::server, concat("kindred/", kVersion));
    message.set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) message.set(name, value);
    message.body() = std::move(response.body);
    message.keep_alive(keep_alive && !draining);
    message.prepare_payload();
    error_code error;
    connection.limit(options.write_timeout);
    co_await http::async_write(connection.socket, message, into(error));
    connection.unlimit();
    co_return !error && message.keep_alive();
  }

  /// Closing a socket with unread bytes resets it and can take the answer along: read on for a moment.
  awaitable<void> refuse_and_linger(Connection& connection, const Problem& problem) {
    HttpResponse response = refuse(problem);
    co_await write(connection, response, 11, false);
    error_code error;
    connection.socket.shutdown(tcp::socket::shutdown_send, error);
    connection.limit(kLinger);
    connection.buffer.clear();
    while (!error && !draining) {
      co_await connection.socket.async_read_some(connection.buffer.prepare(4096), into(error));
    }
  }

  void begin_drain() {
    draining = true;
    // Clients in the listen queue believe that they are connected: take them in, then close the door.
    error_code error;
    acceptor.non_blocking(true, error);
    while (!error) {
      tcp::socket socket(io);
      acceptor.accept(socket, error);
      if (!error) admit(std::move(socket));
    }
    acceptor.close(error);
    for (const auto& connection : connections) {
      if (!connection->idle) continue;
      if (connection->served == 0) {
        connection->limit(kFreshGrace);
      } else if (connection->socket.available(error) == 0) {
        connection->socket.cancel(error);
      }
    }
  }
};

HttpServer::HttpServer(const ServerOptions& options, HttpHandler handler, Refuse refuse)
    : impl_(std::make_unique<Impl>(options, std::move(handler), std::move(refuse))) {
  impl_->listen();
}

HttpServer::~HttpServer() {
  impl_->workers.join();
  impl_->io.stop();
  if (impl_->network.joinable()) impl_->network.join();
}

int HttpServer::port() const { return impl_->port; }

void HttpServer::drain() {
  asio::post(impl_->io, [impl = impl_.get()] {
    if (!impl->draining) impl->begin_drain();
  });
}

bool HttpServer::drained() const { return impl_->draining && impl_->open == 0; }

}  // namespace kindred
