// kindred-index: makes, changes, asks and checks galleries.
#include <algorithm>
#include <iostream>
#include <map>

#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/version.h"
#include "index/builder.h"
#include "index/calibrate.h"
#include "index/embedder_options.h"
#include "index/export.h"
#include "index/vector_index.h"

namespace kindred {
namespace {

using Words = std::vector<std::string>;

const std::string& gallery_of(const Options& options) { return options.get<Words>("GALLERY")[0]; }

void add_gallery(Options& options) { options.positional("GALLERY", "the gallery's folder", 1, 1); }

void add_json(Options& options) { options.add<bool>("json", false, "print JSON instead of text"); }

void print(const Json& json) { std::cout << json.dump(2) << "\n"; }

int report(const BuildReport& done, size_t pictures, const std::string& folder, bool json) {
  warn_of_skipped(done.skipped, pictures);
  if (json) {
    Json skipped = Json::array();
    for (const SkippedPicture& one : done.skipped)
      skipped.push_back({{"path", one.path}, {"reason", one.reason}});
    print({{"gallery", folder},
           {"items", done.items},
           {"index_type", done.index_type},
           {"reason", done.reason},
           {"seconds", done.seconds},
           {"skipped", skipped}});
  } else {
    std::cout << folder << ": " << done.items << " pictures added in " << duration_text(done.seconds)
              << ", index '" << done.index_type << "'";
    if (!done.reason.empty()) std::cout << " (" << done.reason << ")";
    std::cout << "\n";
  }
  return 0;
}

int build(int argc, const char* const* argv) {
  Options options("kindred-index build",
                  "Embeds pictures into a new gallery, which appears when it is complete.");
  add_gallery(options);
  options.positional("PICTURES", "folders of class folders, list files (path<TAB>label) or pictures", 1, -1);
  add_embedder_options(options);
  options.add<std::string>("index", "auto", concat("auto, ", join(vector_index_registry().names())));
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const auto& type = options.get<std::string>("index");
  if (type != "auto")
    vector_index_registry().get(type).make(1);  // before any work: unknown, or not in this build
  const std::vector<Picture> pictures = list_pictures(options.get<Words>("PICTURES"));
  const auto embedder = require_embedder(options);
  return report(build_gallery(gallery_of(options), *embedder, pictures, type), pictures.size(),
                gallery_of(options), options.get<bool>("json"));
}

int add(int argc, const char* const* argv) {
  Options options("kindred-index add", "Embeds pictures and adds them; one whose id is there replaces it.");
  add_gallery(options);
  options.positional("PICTURES", "folders of class folders, list files (path<TAB>label) or pictures", 1, -1);
  add_embedder_options(options);
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::vector<Picture> pictures = list_pictures(options.get<Words>("PICTURES"));
  const auto embedder = require_embedder(options);
  Gallery gallery = Gallery::open(gallery_of(options), embedder->id());
  return report(add_pictures(gallery, *embedder, pictures), pictures.size(), gallery_of(options),
                options.get<bool>("json"));
}

int remove(int argc, const char* const* argv) {
  Options options("kindred-index remove", "Removes items by id: all that are there, in one step.");
  add_gallery(options);
  options.positional("IDS", "ids of items", 1, -1);
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const auto& ids = options.get<Words>("IDS");
  Gallery gallery = Gallery::open(gallery_of(options), "");
  Words absent;
  for (const std::string& id : ids)
    if (!gallery.find(id)) absent.push_back(id);
  const int64_t removed = gallery.remove(ids);
  gallery.save_index();
  if (options.get<bool>("json"))
    print({{"removed", removed}, {"not_found", absent}});
  else
    std::cout << gallery.folder() << ": " << removed << " removed, " << gallery.info().items << " left\n";
  for (const std::string& id : absent) log_warning("no item has the id '", id, "'");
  return absent.empty() ? 0 : 1;
}

// The strictest calibrated target whose threshold the score reaches: "FPR <= 0.001", or "" when there is
// none.
std::string strictest_target(const GalleryInfo& info, float score) {
  const CalibratedThreshold* best = nullptr;
  for (const CalibratedThreshold& one : info.thresholds)
    if (score >= one.threshold && (best == nullptr || one.target_fpr < best->target_fpr)) best = &one;
  return best == nullptr ? "" : concat("FPR <= ", best->target_fpr);
}

int search(int argc, const char* const* argv) {
  Options options("kindred-index search", "Finds the nearest items of pictures.");
  add_gallery(options);
  options.positional("PICTURES", "pictures, folders or list files", 1, -1);
  add_embedder_options(options);
  options.add<int64_t>("k", 5, "how many nearest items, at most");
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const int64_t k = options.get<int64_t>("k");
  if (k < 1 || k > 100'000) fail_usage("--k is ", k, ", expected 1 to 100000");
  const std::vector<Picture> pictures = list_pictures(options.get<Words>("PICTURES"));
  const auto embedder = require_embedder(options);
  const Gallery gallery = Gallery::open(gallery_of(options), embedder->id());
  const GalleryInfo info = gallery.info();
  Json answers = Json::array();
  const auto skipped = embed_pictures(*embedder, pictures, [&](std::span<const EmbeddedPicture> batch) {
    for (const EmbeddedPicture& one : batch) {
      const std::vector<GalleryHit> hits = gallery.search(one.vector, static_cast<int>(k))[0];
      if (options.get<bool>("json")) {
        Json list = Json::array();
        for (const GalleryHit& hit : hits) {
          list.push_back(to_json(hit.item));
          list.back()["score"] = hit.score;
        }
        answers.push_back({{"query", one.picture.path}, {"hits", list}});
        continue;
      }
      std::cout << one.picture.id << "\n";
      for (const GalleryHit& hit : hits)
        std::cout << "  " << fixed(hit.score, 4) << "  " << hit.item.label << "  " << hit.item.id << "  "
                  << strictest_target(info, hit.score) << "\n";
    }
  });
  if (options.get<bool>("json")) print(answers);
  warn_of_skipped(skipped, pictures.size());
  return skipped.empty() ? 0 : 1;
}

int info(int argc, const char* const* argv) {
  Options options("kindred-index info", "Says what a gallery holds and what its thresholds are worth.");
  add_gallery(options);
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const Gallery gallery = Gallery::open(gallery_of(options), "");
  const GalleryInfo info = gallery.info();
  std::map<std::string, int64_t> labels;
  for (const GalleryItem& item : gallery.items()) ++labels[item.label];
  const auto unlabelled = labels.extract("");
  if (options.get<bool>("json")) {
    Json json = to_json(info);
    json["labels"] = labels.size();
    json["unlabelled"] = unlabelled ? unlabelled.mapped() : 0;
    print(json);
    return 0;
  }
  std::cout << gallery.folder() << "\n  items       " << info.items << " (" << labels.size() << " labels, "
            << (unlabelled ? unlabelled.mapped() : 0) << " without)\n  vectors     " << info.dim
            << " numbers, " << bytes_text(info.items * info.dim * 4) << "\n  index       " << info.index_type
            << "\n  model       " << info.model_id << "\n  pictures    " << info.image.width << " x "
            << info.image.height << "\n";
  for (const CalibratedThreshold& one : info.thresholds)
    std::cout << "  threshold   " << fixed(one.threshold, 4) << " for FPR <= " << one.target_fpr
              << ": measured " << fixed(one.achieved_fpr, 6) << " (" << one.false_accepts << " of "
              << one.negative_pairs << " pairs), TPR " << fixed(one.true_positive_rate, 4) << "\n";
  if (info.thresholds.empty())
    std::cout << "  thresholds  none yet; measure them with 'kindred-index calibrate'\n";
  return 0;
}

int verify(int argc, const char* const* argv) {
  Options options("kindred-index verify",
                  "Checks every byte of a gallery: checksums, structure, vectors, index.");
  add_gallery(options);
  options.add<bool>("repair", false, "make the index file afresh from the database first");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  Gallery gallery = Gallery::open(gallery_of(options), "");
  if (options.get<bool>("repair")) gallery.save_index();
  gallery.verify();
  std::cout << gallery.folder() << ": sound, " << gallery.info().items << " items\n";
  return 0;
}

int calibrate_gallery(int argc, const char* const* argv) {
  Options options(
      "kindred-index calibrate",
      "Measures, over all pairs of labelled items, the thresholds for target false positive rates, and "
      "stores them in the gallery.");
  add_gallery(options);
  options.add<Words>("fpr", {"1e-1", "1e-2", "1e-3", "1e-4"},
                     "a target false positive rate; may be repeated");
  add_json(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  std::vector<double> targets;
  for (const std::string& word : options.get<Words>("fpr")) {
    targets.push_back(parse_double(word, "--fpr"));
    if (!(targets.back() > 0 && targets.back() < 1))
      fail_usage("--fpr is ", word, ", expected between 0 and 1");
  }
  Gallery gallery = Gallery::open(gallery_of(options), "");
  const Calibration calibration = calibrate(gallery, targets);
  gallery.set_thresholds(calibration.thresholds);
  for (const double target : calibration.unsupported)
    log_warning("FPR ", target, " cannot be measured: ", calibration.negative_pairs,
                " pairs of different labels are fewer than ", 1 / target);
  if (options.get<bool>("json")) {
    print(to_json(gallery.info()));
    return 0;
  }
  std::cout << gallery.folder() << ": " << calibration.positive_pairs << " pairs of one label, "
            << calibration.negative_pairs
            << " of two\n  target FPR  threshold  measured FPR  false accepts  TPR\n";
  for (const CalibratedThreshold& one : calibration.thresholds) {
    const std::string cells[] = {concat(one.target_fpr), fixed(one.threshold, 4), fixed(one.achieved_fpr, 7),
                                 concat(one.false_accepts), fixed(one.true_positive_rate, 4)};
    const size_t widths[] = {12, 11, 14, 15, 8};
    for (size_t i = 0; i < std::size(cells); ++i)
      std::cout << std::string(widths[i] - std::min(widths[i], cells[i].size()), ' ') << cells[i];
    std::cout << "\n";
  }
  return 0;
}

int export_files(int argc, const char* const* argv) {
  Options options("kindred-index export",
                  "Writes vectors.npy, rows.jsonl and manifest.json for other tools.");
  add_gallery(options);
  options.positional("FOLDER", "a new folder for the files", 1, 1);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const Gallery gallery = Gallery::open(gallery_of(options), "");
  const std::string& folder = options.get<Words>("FOLDER")[0];
  export_gallery(gallery, folder);
  std::cout << folder << ": " << gallery.info().items << " items\n";
  return 0;
}

struct Verb {
  const char* name;
  int (*run)(int, const char* const*);
  const char* help;
};
constexpr Verb kVerbs[] = {
    {"build", build, "embed pictures into a new gallery"},
    {"add", add, "embed pictures and add them"},
    {"remove", remove, "remove items by id"},
    {"search", search, "find the nearest items of pictures"},
    {"info", info, "what a gallery holds"},
    {"verify", verify, "check every byte"},
    {"calibrate", calibrate_gallery, "measure thresholds for target false positive rates"},
    {"export", export_files, "write vectors.npy and rows.jsonl"}};

void print_help() {
  std::cout << "Usage: kindred-index VERB GALLERY [...]\n\nMakes, changes, asks and checks galleries of "
               "pictures.\n\n";
  for (const Verb& verb : kVerbs)
    std::cout << "  " << verb.name << std::string(12 - std::string_view(verb.name).size(), ' ') << verb.help
              << "\n";
  std::cout << "\n'kindred-index VERB --help' lists the options of a verb. Exit codes: 0 done, 1 failed, 2 "
               "usage.\n";
}

int run(int argc, const char* const* argv) {
  const std::string word = argc > 1 ? argv[1] : "--help";
  if (word == "--help" || word == "-h" || word == "help") {
    print_help();
    return argc > 1 ? 0 : 2;
  }
  if (word == "--version") {
    std::cout << "kindred-index " << kVersion << "\n";
    return 0;
  }
  std::vector<std::string> known;
  for (const Verb& verb : kVerbs) {
    if (word == verb.name) return verb.run(argc - 1, argv + 1);
    known.emplace_back(verb.name);
  }
  fail_usage(unknown_name_text("verb", word, known));
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-index", [&] { return kindred::run(argc, argv); });
}
