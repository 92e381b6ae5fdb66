// What every communicator must do, compared with plain loops to the bit. Shared by thread ranks and MPI
// ranks.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "common/base/philox.h"
#include "common/engine/communicator.h"

namespace kindred::test {

/// Value i of a rank's tensor; sums of these round, so that their order shows.
inline float value_of(int rank, int64_t i) {
  return unit_float(philox(9, static_cast<uint32_t>(i), static_cast<uint32_t>(rank), 0, 0).word[0]) * 1000 -
         500;
}

inline float sum_in_rank_order(int ranks, int64_t i) {
  float sum = value_of(0, i);
  for (int rank = 1; rank < ranks; ++rank) sum += value_of(rank, i);
  return sum;
}

inline Tensor values_of(int rank, int64_t n) {
  Tensor tensor(Shape{n});
  for (int64_t i = 0; i < n; ++i) tensor.f32()[i] = value_of(rank, i);
  return tensor;
}

/// Called by all ranks. `n` elements a rank; 0 and odd counts included.
inline void check_collectives(Stream& stream, Communicator& communicator, int64_t n) {
  SCOPED_TRACE(concat(n, " elements, rank ", communicator.rank(), " of ", communicator.size()));
  const int rank = communicator.rank(), ranks = communicator.size();

  const Tensor reduced = values_of(rank, n);
  communicator.all_reduce(stream, reduced);
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; ++i) wrong += reduced.f32()[i] != sum_in_rank_order(ranks, i);
  EXPECT_EQ(wrong, 0) << "all_reduce";

  const Tensor largest = values_of(rank, n);
  communicator.all_reduce(stream, largest, Reduction::max);
  for (int64_t i = 0; i < n; ++i) {
    float expected = value_of(0, i);
    for (int r = 1; r < ranks; ++r) expected = std::max(expected, value_of(r, i));
    wrong += largest.f32()[i] != expected;
  }
  EXPECT_EQ(wrong, 0) << "all_reduce of the largest";

  const Tensor gathered(Shape{n * ranks});
  communicator.all_gather(stream, values_of(rank, n), gathered);
  for (int64_t i = 0; i < n * ranks; ++i)
    wrong += gathered.f32()[i] != value_of(static_cast<int>(i / n), i % n);
  EXPECT_EQ(wrong, 0) << "all_gather";

  const Tensor mine(Shape{n});
  communicator.reduce_scatter(stream, values_of(rank, n * ranks), mine);
  for (int64_t i = 0; i < n; ++i) wrong += mine.f32()[i] != sum_in_rank_order(ranks, rank * n + i);
  EXPECT_EQ(wrong, 0) << "reduce_scatter";

  const int root = ranks - 1;
  const Tensor received = values_of(rank, n);
  communicator.broadcast(stream, received, root);
  for (int64_t i = 0; i < n; ++i) wrong += received.f32()[i] != value_of(root, i);
  EXPECT_EQ(wrong, 0) << "broadcast";

  const Tensor ids(Shape{n}, DType::i64), all_ids(Shape{n * ranks}, DType::i64);
  for (int64_t i = 0; i < n; ++i) ids.data<int64_t>()[i] = (int64_t{1} << 40) * rank + i;
  communicator.all_gather(stream, ids, all_ids);
  for (int64_t i = 0; i < n * ranks; ++i)
    wrong += all_ids.data<int64_t>()[i] != (int64_t{1} << 40) * (i / n) + i % n;
  EXPECT_EQ(wrong, 0) << "all_gather of i64";
  communicator.barrier();
}

}  // namespace kindred::test
