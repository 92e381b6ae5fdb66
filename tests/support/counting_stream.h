// A CPU stream that counts the bytes that are allocated on it.
#pragma once

#include <algorithm>
#include <memory>

#include "common/engine/stream.h"

namespace kindred::test {

class CountingStream : public Stream {
 public:
  Device device() const override { return inner_->device(); }
  void wait() override { inner_->wait(); }
  void copy(void* to, const void* from, int64_t bytes) override { inner_->copy(to, from, bytes); }
  void zero(void* data, int64_t bytes) override { inner_->zero(data, bytes); }
  using Stream::copy;
  using Stream::zero;

  std::shared_ptr<std::byte> allocate(int64_t bytes) override {
    std::shared_ptr<std::byte> memory = inner_->allocate(bytes);
    counts_->now += bytes;
    counts_->peak = std::max(counts_->peak, counts_->now);
    return {memory.get(), [memory, bytes, counts = counts_](std::byte*) { counts->now -= bytes; }};
  }

  /// The most bytes that were allocated at one time.
  int64_t peak_bytes() const { return counts_->peak; }

 private:
  struct Counts {
    int64_t now = 0, peak = 0;
  };
  std::unique_ptr<Stream> inner_ = make_stream({});
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();  // tensors may outlive the stream
};

}  // namespace kindred::test
