// Images of many requests, embedded together. While one batch runs the next one gathers; nothing waits for
// company unless `max_wait` says so. The queue is bounded: what does not fit is refused at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "index/picture_embedder.h"
#include "serve/metrics.h"

namespace kindred {

struct BatchLimits {
  int64_t max_batch = 16;
  int64_t queued_images = 256, queued_bytes = int64_t{512} << 20;
  std::chrono::microseconds max_wait{0};  // how long the oldest image waits for a fuller batch
};

class EmbedBatcher {
 public:
  using Clock = std::chrono::steady_clock;

  /// Declares its metrics in `metrics`, which must live longer.
  EmbedBatcher(std::unique_ptr<PictureEmbedder> embedder, const BatchLimits& limits, Metrics& metrics);
  /// Finishes what is queued.
  ~EmbedBatcher();

  int dim() const { return dim_; }
  const std::string& model_id() const { return model_id_; }

  /// Unit rows [images.size(), dim()]. Waits. Safe from several threads.
  /// Throws Problem: 429 when the queue has no room for all, 503 after close, 504 past the deadline (images
  /// that were still queued then are never computed), 500 when the embedder failed.
  std::vector<float> embed(std::vector<Image> images, Clock::time_point deadline);

  /// Refuses new images; those inside are finished.
  void close();

 private:
  struct Ticket;  // the images of one call
  struct Batch;   // what the embedder is given at once

  void run();
  Batch gather();  // requires: mutex_ held

  const std::unique_ptr<PictureEmbedder> embedder_;  // used by the worker alone
  const int dim_;
  const std::string model_id_;
  const BatchLimits limits_;
  Metrics& metrics_;
  mutable std::mutex mutex_;
  std::condition_variable filled_, finished_;
  std::deque<std::shared_ptr<Ticket>> queue_;  // with images that no batch has taken yet
  int64_t queued_images_ = 0, queued_bytes_ = 0;
  bool closed_ = false;
  std::thread worker_;
};

}  // namespace kindred
