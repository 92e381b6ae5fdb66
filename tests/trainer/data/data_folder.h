// A fresh folder of small pictures, gone with the object.
#pragma once

#include <unistd.h>  // getpid

#include <atomic>
#include <filesystem>
#include <string>

#include "common/base/text.h"
#include "common/image/decode.h"
#include "common/io/file.h"

namespace kindred {

class DataFolder {
 public:
  DataFolder() {
    static std::atomic<int> count = 0;
    path_ =
        (std::filesystem::temp_directory_path() / concat("kindred_data_", ::getpid(), "_", count++)).string();
    std::filesystem::create_directories(path_);
  }
  ~DataFolder() { std::filesystem::remove_all(path_); }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  const std::string& path() const { return path_; }

  std::string write(const std::string& name, std::string_view content) {
    const std::filesystem::path full = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(full.parent_path());
    write_file(full.string(), content);
    return full.string();
  }

  /// class_folders x pictures of 12 x 10 pixels, every pixel of picture p of class c (c * 16, p * 8, 99).
  void write_pictures(int class_folders, int pictures) {
    for (int c = 0; c < class_folders; ++c) {
      for (int p = 0; p < pictures; ++p) {
        Image image{12, 10, {}};
        for (int i = 0; i < 12 * 10; ++i) {
          image.pixels.insert(image.pixels.end(),
                              {static_cast<uint8_t>(c * 16), static_cast<uint8_t>(p * 8), 99});
        }
        write(concat("class", c, "/", p, ".png"), encode_png(image));
      }
    }
  }

 private:
  std::string path_;
};

}  // namespace kindred
