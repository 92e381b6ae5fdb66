// Tensors shared out by rows, whole on rank 0 and back on any number of ranks.
#include "trainer/dist/shards.h"

#include <gtest/gtest.h>

#include "trainer/dist/thread_ranks.h"

namespace kindred {
namespace {

std::vector<float> counting(int64_t rows, int64_t width) {
  std::vector<float> values(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(Shards, AreWholeOnRankZeroAndComeBack) {
  for (const int ranks : {1, 2, 4}) {
    for (const int64_t rows : {1, 3, 4, 10}) {
      SCOPED_TRACE(concat(rows, " rows on ", ranks, " ranks"));
      run_thread_ranks(ranks, [&](Communicator& communicator) {
        const std::unique_ptr<Stream> stream = make_stream({});
        const int64_t each = (rows + ranks - 1) / ranks;
        const Tensor mine(Shape{each, 5});
        std::fill_n(mine.f32(), mine.elements(), -1.0f);
        const std::vector<float> whole = counting(rows, 5);
        scatter_rows(*stream, communicator, communicator.rank() == 0 ? whole : std::vector<float>(), mine,
                     rows);
        for (int64_t i = 0; i < mine.elements(); ++i) {
          const int64_t at = communicator.rank() * each * 5 + i;
          EXPECT_EQ(mine.f32()[i], at < rows * 5 ? static_cast<float>(at) : 0.0f);
        }
        const std::vector<float> back = gather_rows(*stream, communicator, mine, rows);
        EXPECT_EQ(back, communicator.rank() == 0 ? whole : std::vector<float>());
      });
    }
  }
}

TEST(Shards, TravelInPiecesWhenTheyAreLarge) {
  constexpr int64_t kRows = 1000, kWidth = 3000;  // 3 million values: more than a piece
  run_thread_ranks(2, [&](Communicator& communicator) {
    const std::unique_ptr<Stream> stream = make_stream({});
    const Tensor mine(Shape{kRows / 2, kWidth});
    const std::vector<float> whole =
        communicator.rank() == 0 ? counting(kRows, kWidth) : std::vector<float>();
    scatter_rows(*stream, communicator, whole, mine, kRows);
    EXPECT_EQ(gather_rows(*stream, communicator, mine, kRows), whole);
  });
}

}  // namespace
}  // namespace kindred
