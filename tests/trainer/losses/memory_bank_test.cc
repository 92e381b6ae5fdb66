// The memory bank: what it keeps, for how long, and that ranks share it out without a trace.
#include "trainer/losses/memory_bank.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

constexpr int64_t kDim = 2;

/// Rows, labels and ids that count up from `first`.
struct Rows {
  Tensor embeddings, labels, ids;
};
Rows rows_from(int64_t first, int64_t count) {
  Rows rows{Tensor(Shape{count, kDim}), Tensor(Shape{count}, DType::i64), Tensor(Shape{count}, DType::i64)};
  for (int64_t i = 0; i < count; ++i) {
    rows.embeddings.f32()[2 * i] = static_cast<float>(first + i), rows.embeddings.f32()[2 * i + 1] = -1;
    rows.labels.data<int64_t>()[i] = (first + i) % 3, rows.ids.data<int64_t>()[i] = 100 + first + i;
  }
  return rows;
}

void add(MemoryBank& bank, int64_t first, int64_t count, int64_t step) {
  const Rows rows = rows_from(first, count);
  bank.add(rows.embeddings, rows.labels, rows.ids, step);
}

/// First elements of the rows in use, oldest first, read `width` at a time; labels and ids are checked.
std::vector<int> contents(MemoryBank& bank, int64_t step, int64_t width = 3) {
  const Columns columns = bank.columns(step);
  std::vector<int> found;
  for (int64_t first = 0; first < columns.count; first += width) {
    const int64_t count = std::min(width, columns.count - first);
    const float* const rows = columns.embeddings(first, count);
    for (int64_t i = 0; i < count; ++i) {
      found.push_back(static_cast<int>(rows[kDim * i]));
      EXPECT_EQ(columns.labels[first + i], found.back() % 3);
      EXPECT_EQ(columns.ids[first + i], 100 + found.back());
    }
  }
  return found;
}

template <class F>
void with_bank(int ranks, const BankSettings& settings, F f) {
  run_thread_ranks(ranks, [&](Communicator& communicator) {
    const std::unique_ptr<Stream> stream = make_stream({});
    MemoryBank bank(settings, kDim, *stream, communicator);
    f(bank);
  });
}

TEST(MemoryBank, KeepsTheNewestRowsInOrder) {
  for (const int ranks : {1, 2, 3}) {
    with_bank(ranks, {.size = 10}, [](MemoryBank& bank) {
      EXPECT_FALSE(bank.in_use(0));
      add(bank, 0, 4, 0);
      EXPECT_TRUE(bank.in_use(0));
      EXPECT_EQ(contents(bank, 0), (std::vector{0, 1, 2, 3}));
      add(bank, 4, 4, 1);
      add(bank, 8, 4, 2);  // around the end of the ring
      EXPECT_EQ(contents(bank, 2), (std::vector{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
      EXPECT_EQ(contents(bank, 2, 10), (std::vector{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
    });
  }
}

TEST(MemoryBank, LeavesOutRowsThatAreTooOld) {
  with_bank(2, {.size = 10, .max_age = 1}, [](MemoryBank& bank) {
    add(bank, 0, 4, 5);
    add(bank, 4, 4, 6);
    EXPECT_EQ(contents(bank, 6).size(), 8u);
    EXPECT_EQ(contents(bank, 7), (std::vector{4, 5, 6, 7}));
    EXPECT_FALSE(bank.in_use(8));
    add(bank, 8, 4, 7);
    EXPECT_EQ(contents(bank, 7), (std::vector{4, 5, 6, 7, 8, 9, 10, 11}));
  });
}

TEST(MemoryBank, StartsWhenTold) {
  with_bank(1, {.size = 10, .start = 3}, [](MemoryBank& bank) {
    add(bank, 0, 4, 2);
    EXPECT_FALSE(bank.in_use(3));
    add(bank, 4, 4, 3);
    EXPECT_EQ(contents(bank, 3), (std::vector{4, 5, 6, 7}));
  });
}

TEST(MemoryBank, IsRestoredOnAnyNumberOfRanks) {
  const BankSettings settings{.size = 11, .max_age = 2};
  NamedTensors saved;
  with_bank(2, settings, [&](MemoryBank& bank) {
    for (int64_t step = 0; step < 4; ++step) add(bank, 4 * step, 4, step);
    const NamedTensors state = bank.state();
    if (!state.empty()) saved = state;
  });
  for (const int ranks : {1, 3}) {
    with_bank(ranks, settings, [&](MemoryBank& bank) {
      const NamedTensors blank = bank.blank_state();
      for (size_t i = 0; i < blank.size(); ++i) {
        ASSERT_EQ(blank[i].first, saved[i].first);
        std::memcpy(blank[i].second.raw(), saved[i].second.raw(),
                    static_cast<size_t>(saved[i].second.bytes()));
      }
      bank.restore(blank);
      EXPECT_EQ(contents(bank, 3), (std::vector{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
      EXPECT_EQ(contents(bank, 4), (std::vector{8, 9, 10, 11, 12, 13, 14, 15}));
      add(bank, 16, 4, 4);
      EXPECT_EQ(contents(bank, 4).back(), 19);
      EXPECT_EQ(contents(bank, 4).size(), 11u);
    });
  }
}

TEST(MemoryBank, RefusesAPositionThatIsNone) {
  with_bank(1, {.size = 4}, [](MemoryBank& bank) {
    for (const auto& [next, filled] : {std::pair{4, 0}, {-1, 0}, {0, 5}, {0, -1}}) {
      NamedTensors state = bank.state();
      state[4].second.data<int64_t>()[0] = next, state[4].second.data<int64_t>()[1] = filled;
      EXPECT_THROW(bank.restore(state), Error);
    }
  });
}

TEST(BankSettings, AreChecked) {
  const auto read = [](const std::vector<const char*>& words) {
    Options options("test", "the bank's options");
    BankSettings::declare(options);
    std::vector<const char*> argv{"test"};
    argv.insert(argv.end(), words.begin(), words.end());
    options.parse(static_cast<int>(argv.size()), argv.data());
    return BankSettings::read(options, 32);
  };
  EXPECT_EQ(read({}).size, 0);
  EXPECT_EQ(read({"--bank.size=32"}).size, 32);
  for (const char* word : {"--bank.size=31", "--bank.size=-1", "--bank.start=-1", "--bank.max_age=-1",
                           "--bank.weight=0", "--bank.weight=nan"}) {
    EXPECT_THROW(read({word}), UsageError) << word;
  }
}

}  // namespace
}  // namespace kindred::test
