#include "serve/client.h"

#include <utility>  // Boost 1.74 forgets it before awaitable.hpp

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "common/base/version.h"

namespace kindred {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

asio::awaitable<HttpResponse> exchange(const ServerUrl& url, const HttpRequest& request,
                                       std::chrono::milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  const auto endpoints = co_await resolver.async_resolve(url.host, url.port, asio::use_awaitable);
  beast::tcp_stream stream(executor);
  stream.expires_after(timeout);
  co_await stream.async_connect(endpoints, asio::use_awaitable);

  http::request<http::string_body> message;
  message.method_string(request.method);
  message.target(concat(url.path, request.target));
  message.version(11);
  message.keep_alive(false);
  message.set(http::field::host, concat(url.host, ":", url.port));
  message.set(http::field::user_agent, concat("kindred/", kVersion));
  if (!request.content_type.empty()) message.set(http::field::content_type, request.content_type);
  if (!request.accept.empty()) message.set(http::field::accept, request.accept);
  message.body() = request.body;
  message.prepare_payload();
  // A server that refuses a large body answers and closes before it has read all: the answer still counts.
  boost::system::error_code write_error;
  co_await http::async_write(stream, message, asio::redirect_error(asio::use_awaitable, write_error));

  beast::flat_buffer buffer;
  buffer.reserve(64 << 10);
  http::response_parser<http::string_body> parser;
  parser.body_limit(uint64_t{256} << 20);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  http::response<http::string_body> answer = parser.release();
  HttpResponse response;
  response.status = static_cast<int>(answer.result_int());
  response.content_type.clear();
  for (const auto& field : answer) {
    const std::string value(field.value().data(), field.value().size());
    if (field.name() == http::field::content_type) response.content_type = value;
    response.headers.emplace_back(std::string(field.name_string().data(), field.name_string().size()), value);
  }
  response.body = std::move(answer.body());
  co_return response;
}

/// "?k=5&target_fpr=0.01"; numbers need no encoding.
std::string parameters(int k, const ThresholdChoice& threshold) {
  std::string text = concat("?k=", k);
  if (const auto* value = std::get_if<double>(&threshold)) text += concat("&threshold=", json_text(*value));
  if (const auto* target = std::get_if<TargetFpr>(&threshold))
    text += concat("&target_fpr=", json_text(target->fpr));
  if (std::holds_alternative<NoThreshold>(threshold)) text += "&threshold=none";
  return text;
}

}  // namespace

Client::Client(std::string_view url, std::chrono::milliseconds timeout)
    : url_(parse_server_url(url)), timeout_(timeout) {}

HttpResponse Client::send(const HttpRequest& request) const {
  asio::io_context io;
  HttpResponse response;
  std::exception_ptr exception;
  bool done = false;
  asio::co_spawn(io, exchange(url_, request, timeout_), [&](std::exception_ptr failed, HttpResponse answer) {
    exception = failed;
    response = std::move(answer);
    done = true;
  });
  io.run_for(timeout_);  // bounds the resolver too, which has no limit of its own
  const std::string where = concat("http://", url_.host, ":", url_.port);
  if (!done) fail(where, ": no answer within ", timeout_.count(), " ms");
  try {
    if (exception) std::rethrow_exception(exception);
  } catch (const boost::system::system_error& error) {
    fail(where, ": ", error.code().message(), "; is kindred-serve running there?");
  }
  return response;
}

SearchResponse Client::search(const std::string& image_bytes, int k, const ThresholdChoice& threshold) const {
  // The daemon tells the format by content; the content type only has to say "an image".
  const HttpResponse response = send(
      {"POST", concat("/v1/search", parameters(k, threshold)), "image/*", "application/json", image_bytes});
  const std::string what = concat("http://", url_.host, ":", url_.port, ": answer");
  if (response.status != 200) {
    Json json;
    if (media_type(response.content_type) == "application/problem+json")
      json = parse_json(response.body, what);
    throw Problem::from_json(json, response.status);
  }
  return SearchResponse::from_json(parse_json(response.body, what));
}

}  // namespace kindred
