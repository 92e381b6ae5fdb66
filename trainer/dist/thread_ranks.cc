#include "trainer/dist/thread_ranks.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/parallel.h"

namespace kindred {
namespace {

/// What one rank brings to a collective: others read its buffers between the two meetings.
struct Offer {
  std::string call;  // must be the same on every rank: "all_reduce of 12 f32 values"
  const void* from = nullptr;
  void* to = nullptr;
};

/// Thrown into ranks that wait when another failed; never the exception that the caller sees.
struct PeerFailed : Error {
  PeerFailed() : Error("another rank failed") {}
};

/// A barrier that can be broken, and the place where offers lie.
class World {
 public:
  explicit World(int ranks) : offers_(static_cast<size_t>(ranks)) {}

  int size() const { return static_cast<int>(offers_.size()); }
  const Offer& offer(int rank) const { return offers_[static_cast<size_t>(rank)]; }

  /// Lays down an offer and waits for everyone's.
  void meet(int rank, Offer offer) {
    offers_[static_cast<size_t>(rank)] = std::move(offer);
    meet();
    for (int other = 0; other < size(); ++other) {
      if (this->offer(other).call != this->offer(rank).call) {
        fail("ranks make different calls: rank ", rank, " ", this->offer(rank).call, ", rank ", other, " ",
             this->offer(other).call);
      }
    }
  }

  void meet() {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    if (++waiting_ == size()) {
      waiting_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      break_if_hopeless();
      changed_.wait(lock, [&] { return round_ != round || failure_; });
    }
    if (round_ == round) throw PeerFailed();
  }

  void leave() {
    const std::lock_guard lock(mutex_);
    ++gone_;
    break_if_hopeless();
  }

  void leave_failed(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    ++gone_;
    if (!failure_) failure_ = std::move(failure);
    changed_.notify_all();
  }

  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  /// A rank that has returned will never come: whoever waits must be told.
  void break_if_hopeless() {
    if (waiting_ == 0 || gone_ == 0 || failure_) return;
    failure_ = std::make_exception_ptr(
        Error(concat(gone_, " of ", size(), " ranks returned while others wait in a collective")));
    changed_.notify_all();
  }

  std::vector<Offer> offers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0, gone_ = 0;
  int64_t round_ = 0;
  std::exception_ptr failure_;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(World& world, int rank) : world_(world), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return world_.size(); }

  void all_reduce(Stream& stream, const Tensor& values, Reduction how) override {
    stream.wait();
    meet(how == Reduction::sum ? "all_reduce" : "all_reduce (max)", values, values.f32(), values.f32());
    // Every rank reduces a part of its own and writes it to all: no two ranks touch the same element.
    const int64_t n = values.elements(), begin = n * rank_ / size(), end = n * (rank_ + 1) / size();
    for (int64_t i = begin; i < end; ++i) {
      const float result = how == Reduction::sum ? sum_over_ranks(i) : max_over_ranks(i);
      for (int r = 0; r < size(); ++r) static_cast<float*>(world_.offer(r).to)[i] = result;
    }
    world_.meet();
  }

  void all_gather(Stream& stream, const Tensor& mine, const Tensor& all) override {
    KINDRED_ASSERT(all.bytes() == mine.bytes() * size() && all.dtype() == mine.dtype());
    stream.wait();
    meet("all_gather", mine, mine.raw(), nullptr);
    auto* to = static_cast<std::byte*>(all.raw());
    for (int r = 0; r < size(); ++r) copy_bytes(to + r * mine.bytes(), world_.offer(r).from, mine.bytes());
    world_.meet();
  }

  void reduce_scatter(Stream& stream, const Tensor& all, const Tensor& mine) override {
    KINDRED_ASSERT(all.elements() == mine.elements() * size());
    stream.wait();
    meet("reduce_scatter", all, all.f32(), nullptr);
    const int64_t n = mine.elements();
    for (int64_t i = 0; i < n; ++i) mine.f32()[i] = sum_over_ranks(rank_ * n + i);
    world_.meet();
  }

  void broadcast(Stream& stream, const Tensor& values, int root) override {
    KINDRED_ASSERT(root >= 0 && root < size());
    stream.wait();
    meet(concat("broadcast from rank ", root), values, values.raw(), nullptr);
    if (rank_ != root) copy_bytes(values.raw(), world_.offer(root).from, values.bytes());
    world_.meet();
  }

  void barrier() override {
    world_.meet(rank_, {"barrier"});
    world_.meet();  // nobody may lay down the next offer before all have looked at this one
  }

 private:
  void meet(std::string_view call, const Tensor& tensor, const void* from, void* to) {
    KINDRED_ASSERT(tensor.device().type == Device::cpu);
    world_.meet(rank_, {concat(call, " of ", tensor.elements(), " ", dtype_text(tensor.dtype())), from, to});
  }

  float sum_over_ranks(int64_t i) const {
    float sum = static_cast<const float*>(world_.offer(0).from)[i];
    for (int r = 1; r < size(); ++r) sum += static_cast<const float*>(world_.offer(r).from)[i];
    return sum;
  }

  float max_over_ranks(int64_t i) const {
    float largest = static_cast<const float*>(world_.offer(0).from)[i];
    for (int r = 1; r < size(); ++r)
      largest = std::max(largest, static_cast<const float*>(world_.offer(r).from)[i]);
    return largest;
  }

  static void copy_bytes(void* to, const void* from, int64_t bytes) {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  World& world_;
  const int rank_;
};

}  // namespace

void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  KINDRED_ASSERT(ranks >= 1);
  World world(ranks);
  const int threads_each = std::max(1, thread_count() / ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      set_thread_count(threads_each);
      ThreadCommunicator communicator(world, rank);
      try {
        body(communicator);
        world.leave();
      } catch (...) {
        world.leave_failed(std::current_exception());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  world.rethrow_failure();
}

}  // namespace kindred
