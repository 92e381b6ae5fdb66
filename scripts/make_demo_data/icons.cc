#include "scripts/make_demo_data/icons.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/io/file.h"
#include "scripts/make_demo_data/output.h"
#include "scripts/make_demo_data/zip.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "cmd/32/", kSuffix = ".png";

/// Icons of one artist. Drawings used for several commands have no class of their own and are left out.
struct Style {
  std::string name;
  std::map<std::string, std::string> icons;  // command -> PNG
};

Style read_style(const fs::path& path, std::string name) {
  const ZipArchive archive(path.string());
  Style style{std::move(name), {}};
  std::map<std::string, int> uses;  // PNG -> commands
  for (const auto& [member, place] : archive.members()) {
    if (!member.starts_with(kPrefix) || !member.ends_with(kSuffix)) continue;
    const std::string command =
        member.substr(kPrefix.size(), member.size() - kPrefix.size() - kSuffix.size());
    if (command.find('/') != command.npos) continue;
    const std::string& png = style.icons[command] = archive.read(place);
    ++uses[png];
  }
  std::erase_if(style.icons, [&](const auto& icon) { return uses[icon.second] > 1; });
  return style;
}

/// The style's name in "images_NAME.zip"; nothing for other files, and for the variants that redraw a style
/// by rule.
std::optional<std::string> style_name(const fs::path& path) {
  const std::string stem = path.stem().string();
  constexpr std::string_view kStart = "images_";
  const bool variant = stem.ends_with("_dark") || stem.ends_with("_svg");
  if (path.extension() != ".zip" || !stem.starts_with(kStart) || variant) return std::nullopt;
  return stem.substr(kStart.size());
}

std::vector<Style> read_styles(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> archives;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (style_name(entry.path())) archives.push_back(entry.path());
  }
  std::sort(archives.begin(), archives.end());
  std::vector<Style> styles;
  for (const fs::path& path : archives) {
    Style style = read_style(path, *style_name(path));
    if (!style.icons.empty()) styles.push_back(std::move(style));
  }
  if (styles.size() < 2) {
    fail(folder, ": found ", styles.size(),
         " icon styles, two are needed; install libreoffice-style-colibre, "
         "-elementary, -karasa-jaga, -sukapura, -breeze and -sifr");
  }
  return styles;
}

}  // namespace

void make_icons(const std::string& output, const std::string& icon_folder) {
  const std::vector<Style> styles = read_styles(icon_folder);
  std::map<std::string, int> drawn_by;  // command -> styles
  for (const Style& style : styles) {
    for (const auto& [command, png] : style.icons) ++drawn_by[command];
  }
  const Style& asking = *std::max_element(styles.begin(), styles.end(), [](const Style& a, const Style& b) {
    return a.icons.size() < b.icons.size();
  });

  std::string gallery, query;
  int64_t pictures = 0;
  for (const Style& style : styles) {
    fs::create_directories(fs::path(output) / "icons" / style.name);
    for (const auto& [command, png] : style.icons) {
      if (drawn_by[command] < 2) continue;
      const std::string path = concat("icons/", style.name, "/", command, ".png");
      write_picture(output + "/" + path, png);
      (&style == &asking ? query : gallery) += concat(path, '\t', command, '\n');
      ++pictures;
    }
  }
  write_file(output + "/icons_gallery.tsv", gallery);
  write_file(output + "/icons_query.tsv", query);
  log_info(pictures, " icons of ", styles.size(), " styles; the queries are those of ", asking.name);
}

}  // namespace kindred
