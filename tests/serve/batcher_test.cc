#include "serve/batcher.h"

#include <gtest/gtest.h>

#include <future>
#include <semaphore>

#include "tests/serve/serve_fixture.h"

namespace kindred {
namespace {

using Clock = EmbedBatcher::Clock;

Clock::time_point soon() { return Clock::now() + std::chrono::seconds(20); }
Clock::time_point past() { return Clock::now() - std::chrono::seconds(1); }

std::vector<Image> pictures(uint64_t first, uint64_t count) {
  std::vector<Image> images;
  for (uint64_t i = 0; i < count; ++i) images.push_back(quarter_picture(first + i));
  return images;
}

std::vector<float> vectors(uint64_t first, uint64_t count) {
  std::vector<float> rows;
  for (uint64_t i = 0; i < count; ++i) {
    const std::vector<float> row = quarter_vector(first + i);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

/// An embedder that waits at a gate, and notes how many images each batch had.
struct Gate {
  std::counting_semaphore<1000> entered{0}, leave{0};
  std::vector<size_t> batches;

  std::unique_ptr<PictureEmbedder> embedder() {
    return std::make_unique<QuarterEmbedder>([this](std::span<const Image> images) {
      batches.push_back(images.size());
      entered.release();
      leave.acquire();
    });
  }
};

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Problem& problem) {
    return concat(problem.status(), " ", problem.type());
  }
  return "";
}

void wait_for_queue(Metrics& metrics, int images) {
  const std::string line = concat("kindred_embed_queue_images ", images, "\n");
  while (metrics.text().find(line) == std::string::npos) std::this_thread::yield();
}

TEST(EmbedBatcher, GivesEveryCallerItsOwnVectors) {
  Metrics metrics;
  BatchLimits limits;
  limits.max_batch = 5;
  EmbedBatcher batcher(std::make_unique<QuarterEmbedder>(), limits, metrics);
  std::vector<std::future<std::vector<float>>> answers;
  for (uint64_t i = 0; i < 20; ++i) {
    answers.push_back(std::async(std::launch::async,
                                 [&, i] { return batcher.embed(pictures(10 * i, 1 + i % 7), soon()); }));
  }
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(answers[i].get(), vectors(10 * i, 1 + i % 7));
  EXPECT_TRUE(batcher.embed({}, soon()).empty());
}

TEST(EmbedBatcher, GathersWhileABatchRuns) {
  Gate gate;
  Metrics metrics;
  BatchLimits limits;
  limits.max_batch = 4;
  EmbedBatcher batcher(gate.embedder(), limits, metrics);
  auto first = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  gate.entered.acquire();
  std::vector<std::future<std::vector<float>>> others;
  for (uint64_t i = 1; i <= 6; ++i) {
    others.push_back(
        std::async(std::launch::async, [&, i] { return batcher.embed(pictures(i, 1), soon()); }));
  }
  wait_for_queue(metrics, 6);
  gate.leave.release(10);
  EXPECT_EQ(first.get(), vectors(0, 1));
  for (uint64_t i = 1; i <= 6; ++i) EXPECT_EQ(others[i - 1].get(), vectors(i, 1));
  EXPECT_EQ(gate.batches, (std::vector<size_t>{1, 4, 2}));
}

TEST(EmbedBatcher, RefusesWhatTheQueueCannotHold) {
  Gate gate;
  Metrics metrics;
  BatchLimits limits;
  limits.queued_images = 3;
  EmbedBatcher batcher(gate.embedder(), limits, metrics);
  auto running = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  gate.entered.acquire();
  auto waiting = std::async(std::launch::async, [&] { return batcher.embed(pictures(1, 2), soon()); });
  wait_for_queue(metrics, 2);
  EXPECT_EQ(refusal([&] { batcher.embed(pictures(3, 2), soon()); }), "429 queue-full");
  auto fits = std::async(std::launch::async, [&] { return batcher.embed(pictures(5, 1), soon()); });
  wait_for_queue(metrics, 3);
  gate.leave.release(10);
  EXPECT_EQ(waiting.get(), vectors(1, 2));
  EXPECT_EQ(fits.get(), vectors(5, 1));
}

TEST(EmbedBatcher, BoundsTheBytesThatWait) {
  Gate gate;
  Metrics metrics;
  BatchLimits limits;
  limits.queued_bytes = 2 * 16 * 16 * 3;
  EmbedBatcher batcher(gate.embedder(), limits, metrics);
  auto running = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  gate.entered.acquire();
  auto waiting = std::async(std::launch::async, [&] { return batcher.embed(pictures(1, 2), soon()); });
  wait_for_queue(metrics, 2);
  EXPECT_EQ(refusal([&] { batcher.embed(pictures(3, 1), soon()); }), "429 queue-full");
  gate.leave.release(10);
  EXPECT_EQ(waiting.get(), vectors(1, 2));
}

TEST(EmbedBatcher, ServesARequestLargerThanTheQueueWhenNothingWaits) {
  Metrics metrics;
  BatchLimits limits;
  limits.queued_images = 2;
  EmbedBatcher batcher(std::make_unique<QuarterEmbedder>(), limits, metrics);
  EXPECT_EQ(batcher.embed(pictures(0, 9), soon()), vectors(0, 9));
}

TEST(EmbedBatcher, NeverComputesWhatNobodyWaitsForAnyMore) {
  Gate gate;
  Metrics metrics;
  EmbedBatcher batcher(gate.embedder(), {}, metrics);
  auto running = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  gate.entered.acquire();
  EXPECT_EQ(refusal([&] { batcher.embed(pictures(1, 3), past()); }), "504 deadline-exceeded");
  auto last = std::async(std::launch::async, [&] { return batcher.embed(pictures(4, 1), soon()); });
  wait_for_queue(metrics, 4);
  gate.leave.release(10);
  EXPECT_EQ(last.get(), vectors(4, 1));
  EXPECT_EQ(gate.batches, (std::vector<size_t>{1, 1}));
}

TEST(EmbedBatcher, PassesAFailureOnToThoseItConcerns) {
  Metrics metrics;
  bool fails = true;
  EmbedBatcher batcher(std::make_unique<QuarterEmbedder>([&](std::span<const Image>) {
                         if (fails) fail("the network broke");
                       }),
                       {}, metrics);
  EXPECT_THROW(batcher.embed(pictures(0, 40), soon()), Error);  // more than one batch: the rest is dropped
  fails = false;
  EXPECT_EQ(batcher.embed(pictures(1, 1), soon()), vectors(1, 1));
}

TEST(EmbedBatcher, FinishesWhatIsInsideAfterClose) {
  Gate gate;
  Metrics metrics;
  EmbedBatcher batcher(gate.embedder(), {}, metrics);
  auto running = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  gate.entered.acquire();
  auto waiting = std::async(std::launch::async, [&] { return batcher.embed(pictures(1, 2), soon()); });
  wait_for_queue(metrics, 2);
  batcher.close();
  EXPECT_EQ(refusal([&] { batcher.embed(pictures(3, 1), soon()); }), "503 draining");
  gate.leave.release(10);
  EXPECT_EQ(running.get(), vectors(0, 1));
  EXPECT_EQ(waiting.get(), vectors(1, 2));
}

TEST(EmbedBatcher, WaitsForAFullerBatchWhenAskedTo) {
  Metrics metrics;
  std::vector<size_t> batches;
  BatchLimits limits;
  limits.max_batch = 2;
  limits.max_wait = std::chrono::seconds(20);  // a batch is full long before
  EmbedBatcher batcher(
      std::make_unique<QuarterEmbedder>([&](std::span<const Image> i) { batches.push_back(i.size()); }),
      limits, metrics);
  auto one = std::async(std::launch::async, [&] { return batcher.embed(pictures(0, 1), soon()); });
  auto two = std::async(std::launch::async, [&] { return batcher.embed(pictures(1, 1), soon()); });
  EXPECT_EQ(one.get(), vectors(0, 1));
  EXPECT_EQ(two.get(), vectors(1, 1));
  EXPECT_EQ(batches, (std::vector<size_t>{2}));
}

}  // namespace
}  // namespace kindred
