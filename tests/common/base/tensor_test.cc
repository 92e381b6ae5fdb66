#include "common/base/tensor.h"
#include "tests/support/error_of.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kindred {
namespace {

using test::error_of;

TEST(Shape, CountsElementsAndRows) {
  const Shape image{8, 14, 14, 250};
  EXPECT_EQ(image.elements(), 8 * 14 * 14 * 250);
  EXPECT_EQ(image.rows(), 8 * 14 * 14);
  EXPECT_EQ(image[-1], 250);
  EXPECT_EQ(image.text(), "[8,14,14,250]");
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ((Shape{0, 5}).elements(), 0);
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
}

TEST(Shape, RefusesWhatNoTensorCanHave) {
  EXPECT_EQ(error_of([] {
              Shape({1, 1, 1, 1, 1, 1, 1});
            }),
            "a shape of 7 dimensions; at most 6 are supported");
  EXPECT_EQ(error_of([] { Shape({3, -1}); }), "shape [3,-1] has a negative dimension");
  EXPECT_EQ(error_of([] {
              Shape({int64_t{1} << 40, int64_t{1} << 40});
            }),
            "shape [1099511627776,1099511627776] has too many elements");
  EXPECT_EQ(error_of([] {
              Shape({int64_t{1} << 40, 0, int64_t{1} << 40});
            }),
            "shape [1099511627776,0,1099511627776] has too many elements");
}

TEST(Device, ReadsItsOwnText) {
  EXPECT_EQ(Device::parse("cpu"), Device{});
  EXPECT_EQ(Device::parse("cuda"), (Device{Device::cuda, 0}));
  EXPECT_EQ(Device::parse("cuda:11").text(), "cuda:11");
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:99999", "cpu:0"}) {
    EXPECT_EQ(error_of([&] { Device::parse(wrong); }),
              concat("unknown device '", wrong, "'; expected 'cpu', 'cuda' or 'cuda:N'"));
  }
}

TEST(Tensor, OwnsZeroedAlignedMemory) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i64, DType::u8, DType::f64}) {
    const Tensor tensor({3, 5}, dtype);
    EXPECT_EQ(tensor.bytes(), 15 * dtype_bytes(dtype));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u);
    const auto* const bytes = static_cast<const std::byte*>(tensor.raw());
    EXPECT_TRUE(std::all_of(bytes, bytes + tensor.bytes(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Tensor, SharesMemoryWithItsViews) {
  Tensor slice;
  {
    const Tensor whole({4, 3});
    whole.f32()[7] = 5;
    slice = whole.slice(2, 2).reshaped({3, 2});
  }
  EXPECT_EQ(slice.shape(), (Shape{3, 2}));
  EXPECT_EQ(slice.f32()[1], 5) << "row 2, column 1 of the whole, which the slice keeps alive";
  EXPECT_EQ(error_of([&] { slice.reshaped({7}); }), "cannot see a tensor [3,2] as [7]: 6 elements against 7");
}

TEST(Tensor, IsFalseWhenEmpty) {
  EXPECT_FALSE(Tensor());
  EXPECT_TRUE(Tensor({0}));
}

TEST(Tensor, SaysWhenThereIsNoMemory) {
  EXPECT_NE(error_of([] { Tensor({int64_t{1} << 50}); }).find("of memory for a tensor [1125899906842624]"),
            std::string::npos);
}

}  // namespace
}  // namespace kindred
