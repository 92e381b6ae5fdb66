#include "index/embed_pictures.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/base/progress.h"
#include "common/image/decode.h"
#include "common/io/file.h"

namespace kindred {

namespace {

constexpr size_t kBatch = 16;
constexpr size_t kWindow = 4 * kBatch;              // pictures decoded ahead, at most
constexpr size_t kWindowBytes = size_t{256} << 20;  // and their memory, unless one alone is larger
constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

struct Decoded {
  bool ready = false;
  Image image;
  std::string content_hash, error;
};

/// Threads that decode the next pictures of a list; `next` hands them out in order.
class DecodeAhead {
 public:
  DecodeAhead(std::span<const Picture> pictures, int channels)
      : pictures_(pictures), channels_(channels), slots_(kWindow) {
    for (int i = 0; i < thread_count(); ++i) threads_.emplace_back([this] { work(); });
  }
  ~DecodeAhead() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  /// Requires: fewer calls than pictures.
  Decoded next() {
    std::unique_lock lock(mutex_);
    Decoded& slot = slots_[taken_ % kWindow];
    changed_.wait(lock, [&] { return slot.ready; });
    Decoded out = std::exchange(slot, {});
    bytes_ -= out.image.pixels.size();
    ++taken_;
    changed_.notify_all();
    return out;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] {
        return stop_ || begun_ == pictures_.size() ||
               (begun_ < taken_ + kWindow && (bytes_ < kWindowBytes || begun_ == taken_));
      });
      if (stop_ || begun_ == pictures_.size()) return;
      const size_t mine = begun_++;
      lock.unlock();
      Decoded decoded = decode(pictures_[mine], channels_);
      lock.lock();
      bytes_ += decoded.image.pixels.size();
      slots_[mine % kWindow] = std::move(decoded);
      changed_.notify_all();
    }
  }

  static Decoded decode(const Picture& picture, int channels) {
    Decoded out;
    out.ready = true;
    try {
      const std::string bytes = read_file(picture.path, kMaxFileBytes);
      out.content_hash = sha256_hex(bytes);
      out.image = decode_image(bytes, picture.path, {}, channels);
    } catch (const std::exception& error) {
      out.error = error.what();
    }
    return out;
  }

  const std::span<const Picture> pictures_;
  const int channels_;
  std::vector<Decoded> slots_;  // picture i in slot i % kWindow
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t begun_ = 0, taken_ = 0, bytes_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::vector<SkippedPicture> embed_pictures(
    PictureEmbedder& embedder, std::span<const Picture> pictures,
    const std::function<void(std::span<const EmbeddedPicture>)>& sink) {
  const auto dim = static_cast<size_t>(embedder.dim());
  std::vector<SkippedPicture> skipped;
  DecodeAhead decoder(pictures, embedder.image_spec().channels);
  Progress progress("embedding", "images", static_cast<int64_t>(pictures.size()));
  std::vector<float> vectors(kBatch * dim);
  for (size_t first = 0; first < pictures.size(); first += kBatch) {
    const size_t end = std::min(first + kBatch, pictures.size());
    std::vector<Image> images;
    std::vector<std::string> hashes;
    std::vector<size_t> which;
    for (size_t i = first; i < end; ++i) {
      Decoded decoded = decoder.next();
      if (!decoded.error.empty()) {
        skipped.push_back({pictures[i].path, decoded.error});
        continue;
      }
      which.push_back(i);
      images.push_back(std::move(decoded.image));
      hashes.push_back(std::move(decoded.content_hash));
    }
    if (!images.empty()) {
      embedder.embed(images, vectors.data());
      std::vector<EmbeddedPicture> embedded;
      for (size_t i = 0; i < which.size(); ++i)
        embedded.push_back({pictures[which[i]], std::span(vectors).subspan(i * dim, dim), hashes[i]});
      sink(embedded);
    }
    progress.advance(static_cast<int64_t>(end - first));
  }
  if (skipped.size() == pictures.size() && !skipped.empty())
    fail("none of ", pictures.size(), " pictures could be read; the first: ", skipped[0].reason);
  progress.finish();
  return skipped;
}

void warn_of_skipped(std::span<const SkippedPicture> skipped, size_t all) {
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(kShown, skipped.size()); ++i) log_warning("skipped: ", skipped[i].reason);
  if (!skipped.empty()) log_warning(skipped.size(), " of ", all, " pictures were skipped");
}

}  // namespace kindred
