// kindred-eval: how well a model, a gallery or a baseline tells kinds apart.
#include <filesystem>
#include <iostream>
#include <optional>

#include "common/base/log.h"
#include "common/base/options.h"
#include "common/image/decode.h"  // encode_png
#include "common/io/file.h"
#include "index/embedder_options.h"
#include "index/evaluate.h"
#include "index/report.h"
#include "index/thumbnails.h"

namespace kindred {
namespace {

using Words = std::vector<std::string>;

Options declare_options() {
  Options options(
      "kindred-eval",
      "Measures retrieval (Recall@K, mAP) and verification (ROC, TPR at FPR) on labelled pictures, exactly "
      "over all pairs, and writes JSON, a report and a picture.");
  options.group("What is evaluated");
  add_embedder_options(options);
  options.add<std::string>("gallery", "",
                           "use the vectors stored in this gallery; --queries then need its --model");
  options.add<Words>("queries", {}, "a folder of class folders or a list (path<TAB>label); may be repeated");
  options.add<Words>("gallery-images", {}, "what the queries are searched in; default: each other");
  options.add<std::string>("name", "",
                           "how the report calls it; default: the model's or gallery's file name");
  options.group("What is written");
  options.add<std::string>("output", "", "the figures as JSON, into this file");
  options.add<std::string>("report", "", "a self-contained HTML report, into this file");
  options.add<Words>("compare", {}, "JSON of an earlier run to show beside this one; may be repeated");
  options.add<std::string>("grid", "", "a PNG of queries and their nearest pictures, into this file");
  options.add<int64_t>("rows", 12, "queries shown in the report and the grid");
  options.add<int64_t>("k", 8, "nearest pictures shown for each");
  options.add<bool>("json", false, "print JSON instead of the table");
  options.footer(
      "Examples:\n"
      "  kindred-eval --model model.safetensors --queries query.tsv --gallery-images gallery.tsv --report "
      "report.html\n"
      "  kindred-eval --baseline color_histogram --queries pictures/ --output baseline.json\n"
      "  kindred-eval --gallery products.gallery --compare baseline.json --report report.html\n");
  return options;
}

// Queries, and what they are searched in; no gallery: each other.
struct Subject {
  std::string name;
  LabelledVectors queries;
  std::optional<LabelledVectors> gallery;
  std::vector<SkippedPicture> skipped;
  size_t pictures = 0;
};

Subject load_subject(const Options& options) {
  const auto& folder = options.get<std::string>("gallery");
  const auto &query_sources = options.get<Words>("queries"),
             &gallery_sources = options.get<Words>("gallery-images");
  if (!folder.empty() && !gallery_sources.empty())
    fail_usage("--gallery and --gallery-images exclude each other");
  if (folder.empty() && query_sources.empty()) fail_usage("--queries or --gallery is needed");
  const auto embedder = query_sources.empty() ? nullptr : require_embedder(options);
  if (query_sources.empty() && (options.given("model") || options.given("baseline")))
    fail_usage("a gallery's own vectors need no --model or --baseline; add --queries to embed some");

  Subject subject;
  const auto embed = [&](const Words& sources) {
    const std::vector<Picture> pictures = list_pictures(sources);
    subject.pictures += pictures.size();
    return labelled_vectors(*embedder, pictures, subject.skipped);
  };
  if (!query_sources.empty()) subject.queries = embed(query_sources);
  if (!gallery_sources.empty()) subject.gallery = embed(gallery_sources);
  if (!folder.empty()) {
    LabelledVectors stored = labelled_vectors(Gallery::open(folder, embedder ? embedder->id() : ""));
    if (query_sources.empty())
      subject.queries = std::move(stored);
    else
      subject.gallery = std::move(stored);
  }
  subject.name = options.get<std::string>("name");
  const auto &model = options.get<std::string>("model"), &baseline = options.get<std::string>("baseline");
  if (subject.name.empty())
    subject.name = !baseline.empty()
                       ? baseline
                       : std::filesystem::path(model.empty() ? folder : model).filename().string();
  return subject;
}

int run(int argc, const char* const* argv) {
  Options options = declare_options();
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const int64_t rows = options.get<int64_t>("rows"), k = options.get<int64_t>("k");
  if (rows < 1 || rows > 200) fail_usage("--rows is ", rows, ", expected 1 to 200");
  if (k < 1 || k > 50) fail_usage("--k is ", k, ", expected 1 to 50");
  constexpr int64_t kMaxJsonBytes = 16 << 20;
  std::vector<Evaluation> evaluations(1);
  for (const std::string& path :
       options.get<Words>("compare"))  // before the work: a wrong path is found at once
    evaluations.push_back(evaluation_from_json(parse_json(read_file(path, kMaxJsonBytes), path), path));

  const Subject subject = load_subject(options);
  warn_of_skipped(subject.skipped, subject.pictures);
  const LabelledVectors* gallery = subject.gallery ? &*subject.gallery : nullptr;
  evaluations[0] = evaluate(subject.name, subject.queries, gallery);
  const Json json = to_json(evaluations[0]);
  if (options.get<bool>("json"))
    std::cout << json.dump(2) << "\n";
  else
    std::cout << text(evaluations);

  if (const auto& path = options.get<std::string>("output"); !path.empty())
    write_file(path, json.dump(2) + "\n");
  const auto &report = options.get<std::string>("report"), &grid = options.get<std::string>("grid");
  if (report.empty() && grid.empty()) return 0;
  const auto retrievals =
      sample_retrievals(subject.queries, gallery, static_cast<int>(rows), static_cast<int>(k));
  if (!report.empty()) write_file(report, html_report(evaluations, retrievals));
  if (!grid.empty()) write_file(grid, encode_png(retrieval_grid(retrievals, 96)));
  return 0;
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-eval", [&] { return kindred::run(argc, argv); });
}
