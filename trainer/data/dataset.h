// What is trained on: paths and labels, from a folder of class folders or from a list file (path<TAB>label).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kindred {

/// One picture. Its sample id is its index in Dataset::items.
struct DataItem {
  std::string path;
  int64_t label = 0;  // 0 .. classes-1
};

struct Dataset {
  std::vector<DataItem> items;  // in a fixed order: by class name, then path; list files in file order
  std::vector<std::string> class_names;  // index: label; sorted

  int64_t classes() const { return static_cast<int64_t>(class_names.size()); }
};

/// `path` is a folder (class folders inside, searched for .jpg .jpeg .png .webp) or a list file; paths in a
/// list are relative to the list's folder, '#' starts a comment line. Throws Error: nothing found,
/// unreadable, a line without a tab ("list.tsv:14: ...").
Dataset load_dataset(const std::string& path);

}  // namespace kindred
