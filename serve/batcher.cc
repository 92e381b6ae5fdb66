#include "serve/batcher.h"

#include <algorithm>

#include "serve/problem.h"

namespace kindred {

struct EmbedBatcher::Ticket {
  std::vector<Image> images;
  std::vector<float> vectors;
  Clock::time_point arrived, deadline;
  size_t taken = 0, done = 0;    // images handed to a batch, images embedded
  std::exception_ptr exception;  // set: the rest is not worth computing
};

struct EmbedBatcher::Batch {
  struct Share {
    std::shared_ptr<Ticket> ticket;
    size_t first, count;  // images of the ticket
  };
  std::vector<Image> images;
  std::vector<Share> shares;  // in the order of images
};

EmbedBatcher::EmbedBatcher(std::unique_ptr<PictureEmbedder> embedder, const BatchLimits& limits,
                           Metrics& metrics)
    : embedder_(std::move(embedder)),
      dim_(embedder_->dim()),
      model_id_(embedder_->id()),
      limits_(limits),
      metrics_(metrics) {
  metrics_.declare_histogram("kindred_embed_batch_images", "Images embedded at once.",
                             {1, 2, 4, 8, 16, 32, 64});
  metrics_.declare_gauge("kindred_embed_queue_images", "Images that wait to be embedded.");
  worker_ = std::thread([this] { run(); });
}

EmbedBatcher::~EmbedBatcher() {
  close();
  worker_.join();
}

void EmbedBatcher::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  filled_.notify_all();
}

std::vector<float> EmbedBatcher::embed(std::vector<Image> images, Clock::time_point deadline) {
  const auto ticket = std::make_shared<Ticket>();
  const size_t count = images.size();
  int64_t bytes = 0;
  for (const Image& image : images) bytes += static_cast<int64_t>(image.pixels.size());
  ticket->images = std::move(images);
  ticket->vectors.resize(count * static_cast<size_t>(dim()));
  ticket->arrived = Clock::now();
  ticket->deadline = deadline;
  if (count == 0) return {};

  std::unique_lock lock(mutex_);
  if (closed_) throw Problem(503, "draining", "the daemon is shutting down");
  // A request larger than the whole queue is served when nothing else waits.
  const bool fits = queued_images_ + static_cast<int64_t>(count) <= limits_.queued_images &&
                    queued_bytes_ + bytes <= limits_.queued_bytes;
  if (!fits && queued_images_ > 0) {
    throw Problem(429, "queue-full", queued_images_, " images wait to be embedded; try again in a moment");
  }
  queue_.push_back(ticket);
  queued_images_ += static_cast<int64_t>(count);
  queued_bytes_ += bytes;
  metrics_.set("kindred_embed_queue_images", static_cast<double>(queued_images_));
  filled_.notify_one();
  const bool in_time =
      finished_.wait_until(lock, deadline, [&] { return ticket->exception || ticket->done == count; });
  if (ticket->exception) std::rethrow_exception(ticket->exception);
  if (!in_time) throw Problem(504, "deadline-exceeded", "the images were not embedded in time");
  return std::move(ticket->vectors);
}

EmbedBatcher::Batch EmbedBatcher::gather() {
  Batch batch;
  while (!queue_.empty() && static_cast<int64_t>(batch.images.size()) < limits_.max_batch) {
    const std::shared_ptr<Ticket> ticket = queue_.front();
    const bool expired = ticket->deadline <= Clock::now();
    const size_t room = static_cast<size_t>(limits_.max_batch) - batch.images.size();
    const size_t left = ticket->images.size() - ticket->taken;
    // The images of an expired ticket are dropped all at once: nobody waits for them any more.
    const size_t count = expired || ticket->exception ? left : std::min(room, left);
    for (size_t i = ticket->taken; i < ticket->taken + count; ++i) {
      Image image = std::move(ticket->images[i]);
      queued_bytes_ -= static_cast<int64_t>(image.pixels.size());
      if (!expired && !ticket->exception) batch.images.push_back(std::move(image));
    }
    queued_images_ -= static_cast<int64_t>(count);
    if (!expired && !ticket->exception) batch.shares.push_back({ticket, ticket->taken, count});
    ticket->taken += count;
    if (ticket->taken == ticket->images.size()) queue_.pop_front();
  }
  return batch;
}

void EmbedBatcher::run() {
  std::unique_lock lock(mutex_);
  std::vector<float> vectors;
  for (;;) {
    filled_.wait(lock, [&] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return;
    filled_.wait_until(lock, queue_.front()->arrived + limits_.max_wait,
                       [&] { return closed_ || queued_images_ >= limits_.max_batch; });
    Batch batch = gather();
    metrics_.set("kindred_embed_queue_images", static_cast<double>(queued_images_));
    if (batch.images.empty()) continue;
    vectors.resize(batch.images.size() * static_cast<size_t>(dim()));

    lock.unlock();
    std::exception_ptr exception;
    try {
      embedder_->embed(batch.images, vectors.data());
    } catch (...) {
      exception = std::current_exception();
    }
    metrics_.observe("kindred_embed_batch_images", static_cast<double>(batch.images.size()));
    batch.images.clear();
    lock.lock();

    const float* from = vectors.data();
    for (const Batch::Share& share : batch.shares) {
      const size_t begin = share.first * static_cast<size_t>(dim()),
                   floats = share.count * static_cast<size_t>(dim());
      std::copy(from, from + floats, share.ticket->vectors.begin() + static_cast<ptrdiff_t>(begin));
      from += floats;
      share.ticket->done += share.count;
      if (exception) share.ticket->exception = exception;
    }
    finished_.notify_all();
  }
}

}  // namespace kindred
