#include "index/builder.h"

#include <unistd.h>  // getpid

#include <chrono>
#include <filesystem>

#include "common/io/file.h"
#include "index/vector_index.h"

namespace kindred {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPortion = 1024;  // items per transaction: each costs a sync of the disk

// A folder that is removed again unless it was published.
class UnfinishedFolder {
 public:
  explicit UnfinishedFolder(std::string path) : path_(std::move(path)) { fs::remove_all(path_); }
  ~UnfinishedFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

  void publish(const std::string& name) {
    std::error_code error;
    fs::rename(path_, name, error);  // replaces an empty folder, never a full one
    if (error) fail(name, ": the finished gallery cannot be put there: ", error.message());
    sync_folder(fs::absolute(name).parent_path().string());
  }

 private:
  std::string path_;
};

}  // namespace

BuildReport add_pictures(Gallery& gallery, PictureEmbedder& embedder, std::span<const Picture> pictures) {
  const auto start = std::chrono::steady_clock::now();
  BuildReport report;
  report.index_type = gallery.info().index_type;
  std::vector<GalleryItem> items;
  std::vector<float> vectors;
  const auto flush = [&] {
    if (items.empty()) return;
    gallery.add(items, vectors);
    report.items += static_cast<int64_t>(items.size());
    items.clear();
    vectors.clear();
  };
  std::vector<SkippedPicture> refused;  // pictures that are fine under names that are not
  report.skipped = embed_pictures(embedder, pictures, [&](std::span<const EmbeddedPicture> batch) {
    for (const EmbeddedPicture& one : batch) {
      GalleryItem item{one.picture.id, one.picture.path, one.picture.label, nullptr, one.content_hash};
      try {
        check_item(item);
      } catch (const Error& error) {
        refused.push_back({one.picture.path, concat(one.picture.path, ": ", error.what())});
        continue;
      }
      items.push_back(std::move(item));
      vectors.insert(vectors.end(), one.vector.begin(), one.vector.end());
    }
    if (items.size() >= kPortion) flush();
  });
  report.skipped.insert(report.skipped.end(), refused.begin(), refused.end());
  flush();
  gallery.save_index();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

BuildReport build_gallery(const std::string& folder, PictureEmbedder& embedder,
                          std::span<const Picture> pictures, const std::string& index_type) {
  if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder)))
    fail(folder, ": exists and is not empty; remove it, or add to it with 'kindred-index add'");
  const IndexChoice choice = index_type == "auto"
                                 ? choose_index_type(static_cast<int64_t>(pictures.size()), embedder.dim())
                                 : IndexChoice{index_type, "as asked for"};
  GalleryInfo info;
  info.model_id = embedder.id();
  info.image = embedder.image_spec();
  info.dim = embedder.dim();
  info.index_type = choice.type;

  const std::string target = fs::absolute(folder).lexically_normal().string();
  UnfinishedFolder unfinished(
      concat(target.ends_with('/') ? target.substr(0, target.size() - 1) : target, ".building-", ::getpid()));
  BuildReport report;
  {
    Gallery gallery = Gallery::create(unfinished.path(), info);
    report = add_pictures(gallery, embedder, pictures);
  }
  unfinished.publish(target);
  report.reason = choice.reason;
  return report;
}

}  // namespace kindred
