#include "common/io/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/base/error.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A version 1 file of the given header and data.
std::string file_of(const std::string& header, const std::string& data = "", char version = 1) {
  std::string out = "\x93NUMPY";
  out += version;
  out += '\0';
  const auto length = static_cast<uint32_t>(header.size());
  out.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return out + header + data;
}

void expect_refused(const std::string& bytes, const std::string& message) {
  EXPECT_THAT([&] { parse_npy(bytes, "x.npy"); }, ThrowsMessage<Error>(HasSubstr(message))) << bytes;
}

TEST(Npy, ReadsWhatNumpyWrites) {
  // numpy.save of numpy.array([[1, 2, 3]], dtype=numpy.float32)
  const std::string header =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }" + std::string(58, ' ') + "\n";
  const float values[] = {1, 2, 3};
  const std::string data(reinterpret_cast<const char*>(values), sizeof values);
  for (const char version : {'\1', '\2', '\3'}) {
    const Tensor array = parse_npy(file_of(header, data, version), "x.npy");
    EXPECT_EQ(array.shape(), (Shape{1, 3}));
    EXPECT_EQ(array.f32()[2], 3);
  }
}

TEST(Npy, ReadsEveryWayToWriteAShape) {
  const auto shape = [](const std::string& text, size_t bytes) {
    return parse_npy(file_of("{'shape':" + text + ",\"descr\":\"|u1\",'fortran_order':False}",
                             std::string(bytes, 'x')),
                     "x")
        .shape();
  };
  EXPECT_EQ(shape("()", 1).rank(), 0);
  EXPECT_EQ(shape("(4,)", 4), Shape{4});
  EXPECT_EQ(shape("( 2 , 3 , )", 6), (Shape{2, 3}));
  EXPECT_EQ(shape("(2,0)", 0), (Shape{2, 0}));
}

template <class T>
void round_trip(const Shape& shape) {
  const TemporaryFolder folder;
  const Tensor written(shape, dtype_of<T>());
  for (int64_t i = 0; i < written.elements(); ++i) written.data<T>()[i] = static_cast<T>(i * 3 - 1);
  write_npy(folder / "x.npy", written);
  EXPECT_EQ(read_file(folder / "x.npy").find('\n') % 64, 63u);  // data aligned to 64 bytes
  const Tensor read = read_npy(folder / "x.npy");
  EXPECT_EQ(read.dtype(), written.dtype());
  ASSERT_EQ(read.shape(), written.shape());
  EXPECT_TRUE(written.bytes() == 0 ||
              std::memcmp(read.raw(), written.raw(), static_cast<size_t>(written.bytes())) == 0);
}

TEST(Npy, RoundTripsEveryTypeAndRank) {
  round_trip<float>({2, 3, 4, 5});
  round_trip<float>({});
  round_trip<int32_t>({7});
  round_trip<int64_t>({1, 1, 1, 1, 1, 2});
  round_trip<uint8_t>({5, 0});
}

TEST(Npy, RefusesAFileCutAtAnyLength) {
  const TemporaryFolder folder;
  write_npy(folder / "x.npy", Tensor({2, 3}));
  const std::string whole = read_file(folder / "x.npy");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(parse_npy(std::string_view(whole).substr(0, length), "x.npy"), Error) << length;
  }
  EXPECT_THROW(parse_npy(whole + "x", "x.npy"), Error);
}

TEST(Npy, SurvivesEveryFlippedBit) {
  const TemporaryFolder folder;
  write_npy(folder / "x.npy", Tensor({2, 3}));
  const std::string whole = read_file(folder / "x.npy");
  int refused = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      EXPECT_EQ(parse_npy(flipped, "x.npy").bytes(), 24)
          << bit;  // f4 may have become i4, (2, 3) another shape of 6
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 400);
}

TEST(Npy, SaysWhatItDoesNotRead) {
  const auto header = [](const std::string& type, const std::string& order, const std::string& shape) {
    return file_of("{'descr': " + type + ", 'fortran_order': " + order + ", 'shape': " + shape + "}",
                   std::string(8, 'x'));
  };
  expect_refused(header("'<f8'", "False", "(1,)"),
                 "arrays of type '<f8' are not read here (known: <f4, <i4, <i8, |u1)");
  expect_refused(header("'>f4'", "False", "(2,)"), "arrays of type '>f4'");
  expect_refused(header("''", "False", "(2,)"), "arrays of type ''");
  expect_refused(header("[('a', '<f4')]", "False", "(2,)"),
                 "the .npy header is malformed at '[('a', '<f4')]");
  expect_refused(header("'<f4'", "True", "(1, 2)"), "in Fortran order; save numpy.ascontiguousarray of it");
  expect_refused(header("'<f4'", "false", "(2,)"), "malformed at 'false");
  expect_refused(header("'<f4'", "False", "(2"), "malformed at '}'");
  expect_refused(header("'<f4'", "False", "(-2,)"), "malformed");
  expect_refused(header("'<f4'", "False", "(99999999999999999999,)"), "malformed");
  expect_refused(header("'<f4'", "False", "(1,1,1,1,1,1,2)"), "an array of 7 dimensions, expected at most 6");
  expect_refused(header("'<f4'", "False", "(4611686018427387904, 2)"), "too large");
  expect_refused(header("'<f4'", "False", "(3,)"), "holds 8 bytes of data, the header needs 12");
  expect_refused(file_of("{'descr': '<f4'}"), "needs 'descr', 'fortran_order' and 'shape'");
  expect_refused(file_of("{'descr': '<f4', 'descr': '<f4'}"), "unexpected key 'descr'");
  expect_refused(file_of("{'x': 1}"), "unexpected key 'x'");
  expect_refused(file_of("{} x"), "malformed at 'x'");
  expect_refused(file_of("{}", "", 4), ".npy version 4, expected 1, 2 or 3");
  expect_refused("hello, this is no array", "is not a .npy file");
}

}  // namespace
}  // namespace kindred
