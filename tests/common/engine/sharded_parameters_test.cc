// Parameters whose rows ranks share out: who holds what, and the same fresh values as in one piece.
#include <gtest/gtest.h>

#include "common/engine/parameters.h"

namespace kindred {
namespace {

ParamInfo centres(int64_t rows, bool sharded, int64_t unit_rows = 1) {
  ParamInfo info;
  info.name = "centres";
  info.file_shape = Shape{rows, 3};
  info.init = Init::normal_std(0.5);
  info.sharded = sharded;
  info.unit_rows = unit_rows;
  return info;
}

TEST(ShardedParameters, DealRowsInBlocks) {
  const int64_t expected[4][2] = {{0, 2}, {2, 2}, {4, 1}, {5, 0}};
  for (int rank = 0; rank < 4; ++rank) {
    ParameterSet set(rank, 4);
    const ParamInfo& info = set.info(set.add(centres(5, true)));
    EXPECT_EQ(info.first_row, expected[rank][0]);
    EXPECT_EQ(info.rows, expected[rank][1]);
    EXPECT_EQ(info.shape[0], 2);
  }
}

TEST(ShardedParameters, KeepUnitsTogether) {
  for (int rank = 0; rank < 4; ++rank) {
    ParameterSet set(rank, 4);
    const ParamInfo& info = set.info(set.add(centres(15, true, 3)));
    EXPECT_EQ(info.first_row % 3, 0);
    EXPECT_EQ(info.rows % 3, 0);
    EXPECT_EQ(info.shape[0], 6);
  }
}

TEST(ShardedParameters, StartAsTheSameParameterInOnePiece) {
  const std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet whole;
  const Param all = whole.add(centres(7, false));
  whole.freeze(*stream);
  whole.initialize(3);
  for (int rank = 0; rank < 3; ++rank) {
    ParameterSet set(rank, 3);
    const Param part = set.add(centres(7, true));
    set.freeze(*stream);
    set.initialize(3);
    EXPECT_EQ(set.values().elements(), 0);  // outside the flat block
    EXPECT_EQ(set.trainable_elements(), 21);
    const ParamInfo& info = set.info(part);
    for (int64_t i = 0; i < info.shape.elements(); ++i) {
      const bool there = i < 3 * info.rows;
      EXPECT_EQ(set.value(part).f32()[i], there ? whole.value(all).f32()[3 * info.first_row + i] : 0.0f);
    }
  }
}

TEST(ShardedParameters, TakeTheirPartOfAFile) {
  const std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet set(1, 2);
  const Param part = set.add(centres(3, true));
  set.freeze(*stream);
  const float values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  set.set_from_file_layout(part, values);
  EXPECT_EQ(set.value(part).f32()[0], 6);
  EXPECT_EQ(set.value(part).f32()[3], 0);
  EXPECT_THROW(set.set_from_file_layout(part, std::span(values).first(6)), Error);
}

}  // namespace
}  // namespace kindred
