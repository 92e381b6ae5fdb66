#include "common/engine/stream.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cstdint>

#include "common/base/parallel.h"
#include "common/engine/communicator.h"

namespace kindred {
namespace {

TEST(Stream, AllocatesZeroedAlignedMemory) {
  const auto stream = make_stream({});
  for (const int64_t bytes : {int64_t{1}, int64_t{1000}, int64_t{9} << 20}) {
    const auto memory = stream->allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % 256, 0u);
    EXPECT_TRUE(
        std::all_of(memory.get(), memory.get() + bytes, [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Stream, CopiesAndZeroesLargeAndSmall) {
  const auto stream = make_stream({});
  for (const int64_t n : {3, 1000003}) {
    const Tensor from({n}, DType::u8), to({n}, DType::u8);
    for (int64_t i = 0; i < n; ++i) from.data<uint8_t>()[i] = static_cast<uint8_t>(i * 7);
    stream->copy(to, from);
    EXPECT_TRUE(std::equal(to.data<uint8_t>(), to.data<uint8_t>() + n, from.data<uint8_t>()));
    stream->zero(to);
    EXPECT_EQ(std::count(to.data<uint8_t>(), to.data<uint8_t>() + n, 0), n);
  }
}

TEST(Stream, FlushesDenormalsOnEveryThread) {
  const auto stream = make_stream({});
  std::vector<float> quotients(static_cast<size_t>(thread_count()), 1);
  volatile float smallest = FLT_MIN;
  parallel_for(thread_count(), [&](int64_t i) { quotients[static_cast<size_t>(i)] = smallest / 4; });
  for (const float quotient : quotients) EXPECT_EQ(quotient, 0);
}

TEST(Stream, SaysThatThereIsNoCuda) {
  try {
    make_stream({Device::cuda, 1});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "device 'cuda:1': this build has no cuda backend yet; use device 'cpu'");
  }
}

TEST(SelfCommunicator, IsAWorldOfOne) {
  const auto stream = make_stream({});
  const auto self = make_self_communicator();
  EXPECT_EQ(self->rank(), 0);
  EXPECT_EQ(self->size(), 1);
  const Tensor mine({2}), all({2}), back({2});
  mine.f32()[0] = 1, mine.f32()[1] = 2;
  self->all_reduce(*stream, mine);
  self->all_gather(*stream, mine, all);
  self->reduce_scatter(*stream, all, back);
  self->broadcast(*stream, back, 0);
  self->barrier();
  EXPECT_EQ(back.f32()[0], 1);
  EXPECT_EQ(back.f32()[1], 2);
}

}  // namespace
}  // namespace kindred
