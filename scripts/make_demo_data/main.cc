// kindred-make-demo-data: characters in many fonts as class folders and list files, for training and
// retrieval on classes never trained on. Everything is drawn on this machine; the same fonts and options give
// the same pictures.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>  // iota

#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "common/base/progress.h"
#include "common/image/decode.h"
#include "common/io/file.h"
#include "scripts/make_demo_data/characters.h"
#include "scripts/make_demo_data/icons.h"
#include "scripts/make_demo_data/output.h"
#include "scripts/make_demo_data/picture.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;

// Last part of the random keys.
constexpr uint64_t kChoice = 1, kDrawings = 2, kPicture = 3;
// A test class shows every fourth of its instances as a query.
constexpr int64_t kQueryEvery = 4;
constexpr size_t kLeastDrawings = 30;  // fonts that draw a character, each in its own way

struct Plan {
  int64_t classes, test_classes, instances, size;
  uint64_t seed;
  Distortion distortion;
};

template <class T>
void shuffle(std::vector<T>& values, Random& random) {
  for (size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[static_cast<size_t>(random.below(i))]);
}

/// `plan.classes` of the characters, the test classes last.
std::vector<Character> choose_classes(std::vector<Character> characters, const Plan& plan) {
  if (static_cast<int64_t>(characters.size()) < plan.classes) {
    fail("the fonts of this machine draw ", characters.size(), " distinct characters, --classes asks for ",
         plan.classes, "; install the fonts of scripts/demo_packages.txt or ask for fewer");
  }
  Random random(plan.seed, {0, 0, kChoice});
  shuffle(characters, random);
  characters.resize(static_cast<size_t>(plan.classes));
  for (size_t label = 0; label < characters.size(); ++label) {
    Random order(plan.seed, {characters[label].code, 0, kDrawings});
    shuffle(characters[label].drawings, order);
  }
  return characters;
}

void make_characters(const std::string& folder, const std::vector<std::string>& fonts, const Plan& plan) {
  log_info("looking through the fonts");
  const std::vector<Character> classes = choose_classes(find_characters(Fonts(fonts), kLeastDrawings), plan);
  const int64_t train_classes = plan.classes - plan.test_classes;
  const auto part_of = [&](int64_t label) { return label < train_classes ? "train" : "test"; };
  for (int64_t label = 0; label < plan.classes; ++label) {
    fs::create_directories(fs::path(folder) / part_of(label) / classes[static_cast<size_t>(label)].name());
  }

  std::vector<std::string> lines(static_cast<size_t>(plan.classes * plan.instances));
  Progress progress("drawing", "pictures", plan.classes * plan.instances);
  parallel_for(static_cast<int64_t>(lines.size()), [&](int64_t i) {
    const int64_t label = i / plan.instances, instance = i % plan.instances;
    const Character& character = classes[static_cast<size_t>(label)];
    const Glyph& glyph = character.drawings[static_cast<size_t>(instance) % character.drawings.size()];
    Random random(plan.seed, {character.code, static_cast<uint64_t>(instance), kPicture});
    const Image image = make_picture(glyph, static_cast<int>(plan.size), plan.distortion, random);
    const auto quality = static_cast<int>(random.uniform(70, 96));
    const std::string path = concat(part_of(label), '/', character.name(), '/', instance, ".jpg");
    write_picture(folder + "/" + path, encode_jpeg(image, quality));
    lines[static_cast<size_t>(i)] = concat(path, '\t', character.name(), '\n');
    progress.advance(1);
  });
  progress.finish();

  std::string train, gallery, query;
  for (int64_t i = 0; i < static_cast<int64_t>(lines.size()); ++i) {
    const bool trains = i / plan.instances < train_classes,
               asks = i % plan.instances % kQueryEvery == kQueryEvery - 1;
    (trains ? train : asks ? query : gallery) += lines[static_cast<size_t>(i)];
  }
  write_file(folder + "/train.tsv", train);
  write_file(folder + "/gallery.tsv", gallery);
  write_file(folder + "/query.tsv", query);
}

int64_t whole(const Options& options, const std::string& name, int64_t low, int64_t high) {
  const int64_t value = options.get<int64_t>(name);
  if (value < low || value > high) fail_usage("--", name, " is ", value, "; expected ", low, " to ", high);
  return value;
}

int run(int argc, const char* const* argv) {
  Options options(
      "kindred-make-demo-data",
      "Draws characters in the fonts of this machine, distorted, on busy grounds: class = character, "
      "instance = font x distortion. Writes train/ and test/ with one folder per class, and the lists "
      "train.tsv, gallery.tsv and query.tsv; the classes of the last two are never trained on.");
  options.add<std::string>("output", "demo/data", "folder to make; nothing is done when it is there already");
  options.add<int64_t>("classes", 320, "characters in all");
  options.add<int64_t>("test-classes", 80, "how many of them are kept for gallery and queries");
  options.add<int64_t>("instances", 30, "pictures per class; of a test class every fourth is a query");
  options.add<int64_t>("size", 64, "side of the pictures, pixels");
  options.add<double>("difficulty", 1, "0: upright, black on white; 1: the demo; up to 2: harder");
  options.add<int64_t>("seed", 1, "another seed gives other pictures");
  options.add<std::vector<std::string>>("fonts", {"/usr/share/fonts"},
                                        "folder of font files; may be repeated");
  options.add<bool>(
      "icons", false,
      "also write icons/, icons_gallery.tsv and icons_query.tsv from the LibreOffice icon styles "
      "(packages libreoffice-style-*): class = command, instance = style");
  options.add<std::string>("icon-folder", "/usr/share/libreoffice/share/config",
                           "where the styles' zip files lie");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;

  Plan plan;
  plan.classes = whole(options, "classes", 4, 100'000);
  plan.test_classes = whole(options, "test-classes", 2, plan.classes - 2);
  plan.instances = whole(options, "instances", 4, 100'000);
  plan.size = whole(options, "size", 16, 1024);
  plan.seed = static_cast<uint64_t>(options.get<int64_t>("seed"));
  const double difficulty = options.get<double>("difficulty");
  if (!(difficulty >= 0 && difficulty <= 2)) fail_usage("--difficulty is ", difficulty, "; expected 0 to 2");
  plan.distortion = Distortion::at(difficulty);

  OutputFolder output(options.get<std::string>("output"), options.config_text());
  if (output.already_made()) {
    log_info(output.path(), ": already made with these options");
    return 0;
  }
  make_characters(output.working_path(), options.get<std::vector<std::string>>("fonts"), plan);
  if (options.get<bool>("icons")) make_icons(output.working_path(), options.get<std::string>("icon-folder"));
  output.commit();
  log_info(output.path(), ": ", (plan.classes - plan.test_classes) * plan.instances, " pictures of ",
           plan.classes - plan.test_classes, " classes to train on, ", plan.test_classes * plan.instances,
           " of ", plan.test_classes, " other classes as gallery and queries");
  return 0;
}

}  // namespace
}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-make-demo-data", [&] { return kindred::run(argc, argv); });
}
