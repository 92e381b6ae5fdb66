// A folder that appears under its name only when everything in it is there.
#pragma once

#include <string>
#include <string_view>

namespace kindred {

class OutputFolder {
 public:
  /// `recipe` says what is to be made; it is kept in the folder as recipe.txt. Throws Error when `path` is
  /// there and was made by another recipe, or is something else.
  OutputFolder(std::string path, std::string recipe);
  /// Removes what was not committed.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// `path` holds the result of this recipe: nothing is left to do.
  bool already_made() const { return already_made_; }
  const std::string& path() const { return path_; }
  /// Where to write until `commit`.
  const std::string& working_path() const { return working_path_; }
  void commit();

 private:
  std::string path_, working_path_, recipe_;
  bool already_made_ = false, committed_ = false;
};

/// A plain write: what is not committed yet need not survive a power failure. Throws Error.
void write_picture(const std::string& path, std::string_view bytes);

}  // namespace kindred
