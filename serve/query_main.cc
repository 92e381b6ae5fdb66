// kindred-query: which images of a gallery are nearest to these? Asks a daemon, or opens the gallery itself.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>

#include "common/base/options.h"
#include "common/io/file.h"
#include "index/embedder_options.h"
#include "serve/client.h"
#include "serve/service.h"
#include "serve/threshold_options.h"

namespace kindred {
namespace {

constexpr int kNothingFound = 3;

Options declare_options() {
  Options options("kindred-query", "Shows the images of a gallery that are nearest to the given ones.");
  options.positional("images", "JPEG, PNG or WebP files to ask for", 1, -1);
  options.add<std::string>("server", "", "URL of a running kindred-serve, such as http://127.0.0.1:8770");
  options.add<std::string>("gallery", "", "folder of a gallery to search without a daemon");
  add_embedder_options(options);  // with --gallery
  options.add<int64_t>("k", 5, "images to show for each query");
  declare_threshold_options(options);
  options.add<bool>("json", false, "print one JSON document instead of tables");
  options.footer("Exit codes: 0 done, 1 failed, 2 usage, 3 no query has an image above the threshold.");
  return options;
}

/// What answers a query: a daemon or a gallery of our own.
using Ask = std::function<SearchResponse(std::string image_bytes)>;

Ask open_server(const Options& options, int k, const ThresholdChoice& threshold) {
  for (const char* name : {"model", "baseline", "device"}) {
    if (options.given(name)) fail_usage("--", name, " goes with --gallery; a daemon has a model of its own");
  }
  return [client = Client(options.get<std::string>("server")), k, threshold](const std::string& bytes) {
    return client.search(bytes, k, threshold);
  };
}

Ask open_gallery(const Options& options, int k, const ThresholdChoice& threshold) {
  struct Local {
    Metrics metrics;
    Service service;
    Local(Gallery gallery, std::unique_ptr<PictureEmbedder> embedder)
        : service(std::move(gallery), std::move(embedder), {}, metrics) {}
  };
  auto embedder = require_embedder(options);
  Gallery gallery = Gallery::open(options.get<std::string>("gallery"), embedder->id());
  const auto local = std::make_shared<Local>(std::move(gallery), std::move(embedder));
  return [local, k, threshold](std::string bytes) {
    SearchRequest request;
    request.queries.push_back(ImageQuery{std::move(bytes)});
    request.k = k;
    request.threshold = threshold;
    return local->service.search(request);
  };
}

// Texts of a gallery are data: control characters must not reach the terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
  return text;
}

void print_hits(const std::vector<GalleryHit>& hits) {
  size_t label_width = 5, id_width = 2;
  for (const GalleryHit& hit : hits) {
    label_width = std::max(label_width, hit.item.label.size());
    id_width = std::max(id_width, hit.item.id.size());
  }
  const auto line = [&](std::string_view rank, std::string_view score, const std::string& label,
                        const std::string& id, const std::string& uri) {
    std::printf("  %4.*s  %6.*s  %-*s  %-*s  %s\n", static_cast<int>(rank.size()), rank.data(),
                static_cast<int>(score.size()), score.data(), static_cast<int>(label_width),
                printable(label).c_str(), static_cast<int>(id_width), printable(id).c_str(),
                printable(uri).c_str());
  };
  line("rank", "score", "label", "id", "uri");
  for (size_t i = 0; i < hits.size(); ++i) {
    line(concat(i + 1), fixed(hits[i].score, 4), hits[i].item.label, hits[i].item.id, hits[i].item.uri);
  }
}

void print_table(const std::string& path, const SearchResponse& response) {
  const SearchResult& result = response.results.front();
  std::string head = path;
  if (result.decision != Decision::none) head += result.decision == Decision::match ? ": match" : ": unknown";
  if (response.threshold) {
    head += concat(" (threshold ", fixed(response.threshold->value, 4));
    if (const auto& calibration = response.threshold->calibration) {
      head += concat(", measured FPR ", calibration->achieved_fpr, ", TPR ", calibration->true_positive_rate);
    }
    head += ")";
  }
  std::printf("%s\n", head.c_str());
  if (!result.hits.empty()) print_hits(result.hits);
  if (result.best_below_threshold) {
    const GalleryHit& best = *result.best_below_threshold;
    std::printf("  nearest: %s (%s) at %s\n", printable(best.item.id).c_str(),
                printable(best.item.label).c_str(), fixed(best.score, 4).c_str());
  }
}

int run(int argc, const char* const* argv) {
  Options options = declare_options();
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const bool server = options.given("server");
  if (server == options.given("gallery"))
    fail_usage("exactly one of --server and --gallery is needed; see --help");
  const int64_t k = options.get<int64_t>("k");
  if (k < 1 || k > ApiLimits{}.k)
    fail_usage(options.source("k"), ": k is ", k, "; expected 1 to ", ApiLimits{}.k);
  const ThresholdChoice threshold = threshold_option(options);
  const Ask ask = server ? open_server(options, static_cast<int>(k), threshold)
                         : open_gallery(options, static_cast<int>(k), threshold);

  const bool json = options.get<bool>("json");
  Json document = Json::array();
  bool failed = false, found = false;
  for (const std::string& path : options.get<std::vector<std::string>>("images")) {
    try {
      const SearchResponse response = ask(read_file(path, int64_t{1} << 30));
      if (response.results.size() != 1)
        fail("expected one result, the server sent ", response.results.size());
      found |= !response.results.front().hits.empty();
      if (json) {
        Json answer = response.to_json();
        answer.erase("gallery");
        document.push_back({{"image", path}});
        document.back().update(answer);
      } else {
        print_table(path, response);
      }
    } catch (const Error& error) {  // the other images still have answers
      failed = true;
      const std::string reason = error.what();  // of reading the file: names it already
      const std::string text = reason.starts_with(path) ? reason : concat(path, ": ", reason);
      std::fprintf(stderr, "kindred-query: %s\n", text.c_str());
      if (json) document.push_back({{"image", path}, {"error", error.what()}});
    }
  }
  if (json) std::printf("%s\n", json_text(document, 2).c_str());
  return failed ? 1 : found ? 0 : kNothingFound;
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-query", [&] { return kindred::run(argc, argv); });
}
