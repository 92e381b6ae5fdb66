#include "serve/http.h"

#include <algorithm>

#include "serve/problem.h"

namespace kindred {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) throw Problem(400, "bad-target", "the request target has a broken percent encoding");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

Target parse_target(std::string_view target) {
  Target parsed;
  const size_t question = target.find('?');
  parsed.path = std::string(target.substr(0, question));
  if (question == std::string_view::npos) return parsed;
  for (const std::string& pair : split(target.substr(question + 1), '&')) {
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = percent_decode(std::string_view(pair).substr(0, equals));
    const std::string value =
        percent_decode(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
    if (!parsed.parameters.emplace(name, value).second) {
      throw Problem(400, "bad-target", "the parameter '", name, "' occurs twice");
    }
  }
  return parsed;
}

ServerUrl parse_server_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!lower(url.substr(0, kScheme.size())).starts_with(kScheme)) {
    fail("'", url, "' is not a server; expected something like http://127.0.0.1:8770");
  }
  std::string_view rest = url.substr(kScheme.size());
  ServerUrl parsed;
  parsed.port = "8770";
  const size_t slash = std::min(rest.find('/'), rest.size());
  parsed.path = std::string(rest.substr(slash));
  while (parsed.path.ends_with('/')) parsed.path.pop_back();
  rest = rest.substr(0, slash);
  const size_t bracket = rest.find(']');  // [::1]:8770
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    parsed.port = std::string(rest.substr(colon + 1));
    const int64_t port = parse_int(parsed.port, concat("the port of '", url, "'"));
    if (port < 1 || port > 65535) fail("the port of '", url, "' is not in 1..65535");
  }
  rest = rest.substr(0, colon);
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) fail("'", url, "' names no host");
  parsed.host = std::string(rest);
  return parsed;
}

std::string media_type(std::string_view content_type) {
  return lower(trim(content_type.substr(0, content_type.find(';'))));
}

std::string header_parameter(std::string_view header, std::string_view name) {
  size_t at = header.find(';');
  while (at != std::string_view::npos) {
    header.remove_prefix(at + 1);
    const size_t equals = header.find_first_of("=;");
    if (equals == std::string_view::npos) return "";
    at = equals;
    if (header[equals] == ';') continue;
    const bool wanted = lower(trim(header.substr(0, equals))) == name;
    std::string value;
    size_t end = equals + 1;
    if (end < header.size() && header[end] == '"') {
      for (++end; end < header.size() && header[end] != '"'; ++end) {
        if (header[end] == '\\' && end + 1 < header.size()) ++end;
        value += header[end];
      }
      at = header.find(';', end);
    } else {
      at = header.find(';', end);
      value = std::string(trim(header.substr(end, at == std::string_view::npos ? at : at - end)));
    }
    if (wanted) return value;
  }
  return "";
}

std::vector<FormPart> parse_multipart(std::string_view content_type, std::string_view body) {
  constexpr size_t kMaxParts = 256, kMaxHeaderBytes = 8192;
  const auto bad = [](std::string_view reason) {
    return Problem(400, "bad-multipart", "multipart body: ", reason);
  };
  const std::string boundary = header_parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70)
    throw bad("the content type has no boundary of 1 to 70 characters");
  const std::string delimiter = concat("\r\n--", boundary);

  size_t at = std::string_view::npos;  // just behind a delimiter
  if (body.starts_with(std::string_view(delimiter).substr(2))) at = delimiter.size() - 2;
  if (at == std::string_view::npos && (at = body.find(delimiter)) == std::string_view::npos) {
    throw bad("the boundary does not occur");
  }
  if (!body.starts_with(std::string_view(delimiter).substr(2))) at += delimiter.size();

  std::vector<FormPart> parts;
  while (!body.substr(at).starts_with("--")) {
    const size_t line_end = body.find("\r\n", at);
    if (line_end == std::string_view::npos || !trim(body.substr(at, line_end - at)).empty()) {
      throw bad("a boundary is followed by neither a line end nor '--'");
    }
    if (parts.size() == kMaxParts) throw bad(concat("more than ", kMaxParts, " parts"));
    // The empty line that ends the headers may follow the boundary at once.
    const size_t headers_end = body.substr(0, line_end + 2 + kMaxHeaderBytes).find("\r\n\r\n", line_end);
    if (headers_end == std::string_view::npos) throw bad("the headers of a part do not end");
    FormPart part;
    for (const std::string& line : split(body.substr(line_end, headers_end - line_end), '\n')) {
      const size_t colon = std::min(line.find(':'), line.size());
      const std::string header = lower(trim(std::string_view(line).substr(0, colon)));
      const std::string_view value = trim(std::string_view(line).substr(std::min(colon + 1, line.size())));
      if (header == "content-type") part.content_type = std::string(value);
      if (header == "content-disposition") {
        part.name = header_parameter(value, "name");
        part.filename = header_parameter(value, "filename");
      }
    }
    if (part.name.empty()) throw bad("a part has no name");
    const size_t content = headers_end + 4, end = body.find(delimiter, content - 2);
    if (end == std::string_view::npos) throw bad("the last part does not end");
    part.content = end < content ? std::string_view() : body.substr(content, end - content);
    parts.push_back(std::move(part));
    at = end + delimiter.size();
  }
  if (parts.empty()) throw bad("there are no parts");
  return parts;
}

}  // namespace kindred
