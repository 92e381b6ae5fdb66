// Requests and answers as plain data, and the small syntaxes inside them. No sockets here.
// Source: RFC 9110 (parameters), RFC 3986 (percent encoding), RFC 7578 (multipart/form-data).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kindred {

struct HttpRequest {
  std::string method, target;  // "POST", "/v1/search?k=5"
  std::string content_type, accept;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json", body;
  std::vector<std::pair<std::string, std::string>> headers;
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

/// "/v1/search?k=5&target_fpr=1e-2" taken apart.
struct Target {
  std::string path;
  std::map<std::string, std::string> parameters;
};
/// Throws Problem 400 on broken percent encoding and on a parameter that occurs twice.
Target parse_target(std::string_view target);

/// "http://127.0.0.1:8770" taken apart; the port defaults to 8770, a path in front of ours may follow.
struct ServerUrl {
  std::string host, port, path;
};
/// Throws Error when it is not an http:// URL.
ServerUrl parse_server_url(std::string_view url);

/// "Image/JPEG; q=1" -> "image/jpeg".
std::string media_type(std::string_view content_type);
/// The value of `name` in "form-data; name=\"image\"; filename=\"a.jpg\"", or "" when it is not there.
std::string header_parameter(std::string_view header, std::string_view name);

struct FormPart {
  std::string name, filename, content_type;
  std::string_view content;  // into the body
};
/// The parts of a multipart/form-data body. Throws Problem 400 on anything that is not exactly one.
std::vector<FormPart> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace kindred
