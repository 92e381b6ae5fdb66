#include "scripts/make_demo_data/output.h"

#include <filesystem>
#include <fstream>

#include "common/base/error.h"
#include "common/io/file.h"

namespace kindred {

namespace fs = std::filesystem;

OutputFolder::OutputFolder(std::string path, std::string recipe)
    : path_(std::move(path)), recipe_(std::move(recipe)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  if (path_.empty()) fail("the output folder has no name");
  if (fs::exists(path_)) {
    const std::string note = path_ + "/recipe.txt";
    if (!fs::exists(note)) fail(path_, ": exists and is not demo data; remove it or choose another folder");
    if (read_file(note) != recipe_) {
      fail(path_, ": was made with other options (see ", note, "); remove it or choose another folder");
    }
    already_made_ = true;
    return;
  }
  working_path_ = path_ + ".partial";
  std::error_code error;
  fs::remove_all(working_path_, error);  // of a run that was killed
  fs::create_directories(working_path_, error);
  if (error) fail(working_path_, ": cannot make the folder: ", error.message());
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!already_made_ && !committed_) fs::remove_all(working_path_, ignored);
}

void OutputFolder::commit() {
  write_file(working_path_ + "/recipe.txt", recipe_);
  std::error_code error;
  fs::rename(working_path_, path_, error);
  if (error) fail(path_, ": cannot rename the finished folder: ", error.message());
  committed_ = true;
}

void write_picture(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) fail_errno(path, "write");
}

}  // namespace kindred
