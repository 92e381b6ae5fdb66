// Fuzz target: any bytes as a request to the daemon. First line the target, second the content type, then the
// body. What is not understood is a Problem with a status of 4xx; what is understood keeps the stated limits.
#include "common/base/error.h"
#include "serve/api.h"

namespace {

std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

template <class Parse>
void refused_or(const Parse& parse) {
  try {
    parse();
  } catch (const kindred::Problem& problem) {
    KINDRED_ASSERT(problem.status() >= 400 && problem.status() < 500);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  kindred::HttpRequest request;
  request.method = "POST";
  request.target = take_line(rest);
  request.content_type = take_line(rest);
  request.body = rest;
  const kindred::ApiLimits limits;
  refused_or([&] {
    const kindred::SearchRequest search = kindred::parse_search_request(request, limits);
    KINDRED_ASSERT(!search.queries.empty() && static_cast<int64_t>(search.queries.size()) <= limits.queries);
    KINDRED_ASSERT(search.k >= 1 && search.k <= limits.k && search.timeout_ms <= limits.timeout_ms);
  });
  refused_or([&] {
    const kindred::EmbedRequest embed = kindred::parse_embed_request(request, limits);
    KINDRED_ASSERT(static_cast<int64_t>(embed.images.size()) <= limits.queries);
  });
  return 0;
}
