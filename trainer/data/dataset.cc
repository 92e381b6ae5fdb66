#include "trainer/data/dataset.h"

#include <algorithm>
#include <cctype>  // tolower
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/io/file.h"

namespace kindred {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".webp";
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// Pictures below a class folder, at any depth, sorted.
std::vector<std::string> pictures_below(const fs::path& folder) {
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator entry(folder), end; entry != end; ++entry) {
    if (is_hidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && is_picture(entry->path())) {
      found.push_back(entry->path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Dataset load_folder(const std::string& path) {
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (entry.is_directory() && !is_hidden(entry.path())) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());

  Dataset dataset;
  for (const fs::path& folder : folders) {
    std::vector<std::string> pictures = pictures_below(folder);
    if (pictures.empty()) continue;
    for (std::string& picture : pictures) dataset.items.push_back({std::move(picture), dataset.classes()});
    dataset.class_names.push_back(folder.filename().string());
  }
  if (dataset.items.empty()) {
    fail(path,
         ": no pictures found; expected one folder per class with .jpg, .jpeg, .png or .webp files inside");
  }
  return dataset;
}

Dataset load_list(const std::string& path) {
  const std::string content = read_file(path);
  const fs::path folder = fs::path(path).parent_path();
  std::vector<std::pair<std::string, std::string>> lines;  // path, class name
  std::map<std::string, int64_t> labels;

  int64_t number = 0;
  for (std::string_view rest = content; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty() || line.starts_with('#')) continue;

    const size_t tab = line.find('\t');
    if (tab == line.npos) fail(path, ":", number, ": no tab in the line; expected path<TAB>label");
    const std::string_view picture = line.substr(0, tab), name = line.substr(tab + 1);
    if (picture.empty() || name.empty() || name.find('\t') != name.npos || line.find('\0') != line.npos) {
      fail(path, ":", number, ": expected one path, one tab and one label");
    }
    lines.emplace_back((folder / picture).string(), name);
    labels.emplace(name, 0);
  }
  if (lines.empty()) fail(path, ": the list is empty; expected lines of path<TAB>label");

  Dataset dataset;
  for (auto& [name, label] : labels) {
    label = dataset.classes();
    dataset.class_names.push_back(name);
  }
  for (auto& [picture, name] : lines) dataset.items.push_back({std::move(picture), labels.at(name)});
  return dataset;
}

}  // namespace

Dataset load_dataset(const std::string& path) {
  try {
    return fs::is_directory(path) ? load_folder(path) : load_list(path);
  } catch (const fs::filesystem_error& error) {
    fail(path, ": cannot read the data set: ", error.what());
  }
}

}  // namespace kindred
