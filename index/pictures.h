// Which pictures a command is about: a folder of class folders, a list file (path, or path<TAB>label), or a
// picture.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace kindred {

struct Picture {
  std::string path;   // absolute
  std::string id;     // relative to the folder or list it came from; a single picture's path as it was given
  std::string label;  // "" when unknown
};

/// In a fixed order: folders sorted by path, lists line by line. Folders are searched for .jpg .jpeg .png
/// .webp; the first folder below the root is the label, pictures in the root itself have none. List paths are
/// relative to the list's folder; '#' starts a comment line. Throws Error: missing, nothing found, a bad line
/// ("list.tsv:14: ..."), an id that occurs twice.
std::vector<Picture> list_pictures(std::span<const std::string> sources);

}  // namespace kindred
