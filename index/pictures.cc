#include "index/pictures.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "common/base/error.h"
#include "common/io/file.h"

namespace kindred {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxListBytes = int64_t{1} << 30;
constexpr int kMaxDepth = 16;  // folders within folders

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".webp";
}

std::vector<Picture> from_folder(const std::string& root) {
  std::vector<std::string> ids;
  std::error_code error;
  constexpr auto kFollow = fs::directory_options::follow_directory_symlink;
  for (fs::recursive_directory_iterator entry(root, kFollow, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry.depth() == kMaxDepth) entry.disable_recursion_pending();  // a link may lead back up
    std::error_code dangling;
    if (is_picture(entry->path()) && entry->is_regular_file(dangling))
      ids.push_back(entry->path().lexically_relative(root).generic_string());
  }
  if (error) fail(root, ": cannot be searched: ", error.message());
  if (ids.empty()) fail(root, ": holds no picture (.jpg .jpeg .png .webp)");
  std::sort(ids.begin(), ids.end());
  std::vector<Picture> pictures;
  for (const std::string& id : ids) {
    const size_t slash = id.find('/');
    pictures.push_back({fs::absolute(fs::path(root) / id).lexically_normal().string(), id,
                        slash == std::string::npos ? "" : id.substr(0, slash)});
  }
  return pictures;
}

std::vector<Picture> from_list(const std::string& path) {
  const std::string text = read_file(path, kMaxListBytes);
  const fs::path folder = fs::absolute(path).parent_path();
  std::vector<Picture> pictures;
  int number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    const std::string_view content = trim(line);
    if (content.empty() || content.starts_with('#')) continue;
    const std::vector<std::string> fields = split(content, '\t');
    if (fields.size() > 2 || trim(fields[0]).empty() || content.find('\0') != std::string_view::npos)
      fail(path, ":", number, ": expected 'path' or 'path<TAB>label', found '", content.substr(0, 80), "'");
    const std::string id(trim(fields[0]));
    pictures.push_back({(folder / id).lexically_normal().string(), id,
                        fields.size() == 2 ? std::string(trim(fields[1])) : std::string()});
  }
  if (pictures.empty()) fail(path, ": lists no picture");
  return pictures;
}

}  // namespace

std::vector<Picture> list_pictures(std::span<const std::string> sources) {
  std::vector<Picture> pictures;
  std::map<std::string, std::string> source_of;
  for (const std::string& source : sources) {
    std::vector<Picture> more;
    if (fs::is_directory(source))
      more = from_folder(source);
    else if (!fs::exists(source))
      fail(source, ": there is no such file or folder");
    else if (is_picture(source))
      more = {{fs::absolute(source).lexically_normal().string(), source, ""}};
    else
      more = from_list(source);
    for (Picture& picture : more) {
      const auto [other, fresh] = source_of.emplace(picture.id, source);
      if (!fresh) fail(source, ": the id '", picture.id, "' occurs twice, first in ", other->second);
      pictures.push_back(std::move(picture));
    }
  }
  return pictures;
}

}  // namespace kindred
