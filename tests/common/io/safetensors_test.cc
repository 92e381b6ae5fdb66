#include "common/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "common/base/error.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// A file of the given header and data.
std::string file_of(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

void expect_refused(const std::string& bytes, const std::string& message) {
  EXPECT_THAT([&] { SafetensorsFile::parse(bytes, "m"); }, ThrowsMessage<Error>(HasSubstr(message)))
      << bytes.substr(8, 200);
}

TEST(Safetensors, ReadsAFileWrittenByHand) {
  const std::string data("\0\0\x80\x3f\0\0\0\xc0\x07", 9);  // 1, -2 | 7
  const std::string bytes =
      file_of(R"({"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]},)"
              R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}   )",
              data);
  const SafetensorsFile file = SafetensorsFile::parse(bytes, "m");
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a");  // in the order of the data
  EXPECT_EQ(file.metadata().at("k"), "v");
  const TensorEntry* a = file.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, DType::f32);
  EXPECT_EQ(a->shape, (Shape{1, 2}));
  float values[2];
  std::memcpy(values, a->bytes.data(), sizeof values);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], -2);
  EXPECT_EQ(file.find("b")->bytes, "\x07");
  EXPECT_EQ(file.find("b")->shape.rank(), 0);
  EXPECT_EQ(file.find("c"), nullptr);
}

// One tensor of every type, an empty one, and names that JSON must escape.
std::vector<TensorEntry> sample(const std::string& memory) {
  std::vector<TensorEntry> out;
  size_t offset = 0;
  const auto add = [&](const char* name, DType type, Shape shape) {
    const auto bytes = static_cast<size_t>(shape.elements() * dtype_bytes(type));
    out.push_back({name, type, shape, std::string_view(memory).substr(offset, bytes)});
    offset += bytes;
  };
  add("bytes", DType::u8, {3});
  add("stem/conv.weight", DType::f32, {2, 3, 1, 1});
  add("quote\"\\\n\xc3\xa9", DType::i64, {2});
  add("half", DType::f16, {5});
  add("brain", DType::bf16, {1, 1});
  add("int", DType::i32, {1, 2, 1, 1, 1, 1});
  add("empty", DType::f32, {0, 4});
  return out;
}

std::string sample_memory() {
  std::string memory;
  for (int i = 0; i < 100; ++i) memory += static_cast<char>(i * 37);
  return memory;
}

TEST(Safetensors, RoundTripsEveryTypeAndTheMetadata) {
  const TemporaryFolder folder;
  const std::string memory = sample_memory();
  const std::vector<TensorEntry> written = sample(memory);
  const std::map<std::string, std::string> metadata{{"arch", "x"}, {"note", "a\n\"b\""}};
  write_safetensors(folder / "m", written, metadata);
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), written.size());
  for (const TensorEntry& expected : written) {
    const TensorEntry* found = file.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    EXPECT_EQ(found->bytes, expected.bytes);
  }
}

TEST(Safetensors, AlignsEveryTensorToItsElements) {
  const TemporaryFolder folder;
  const std::string memory = sample_memory();
  write_safetensors(folder / "m", sample(memory), {});
  const SafetensorsFile file = SafetensorsFile::open(folder / "m");
  for (const TensorEntry& tensor : file.tensors()) {
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(tensor.bytes.data()) % static_cast<size_t>(dtype_bytes(tensor.dtype)), 0u)
        << tensor.name;
  }
}

TEST(Safetensors, KeepsTheOrderOfTensorsOfOneType) {
  const TemporaryFolder folder;
  const std::string memory(8, 'x');
  const std::string_view view(memory);
  write_safetensors(folder / "m",
                    {{"z", DType::f32, {1}, view.substr(0, 4)}, {"a", DType::f32, {1}, view.substr(4)}}, {});
  EXPECT_EQ(SafetensorsFile::open(folder / "m").tensors()[0].name, "z");
}

TEST(Safetensors, HoldsNothingAtAll) {
  const TemporaryFolder folder;
  write_safetensors(folder / "m", {}, {});
  EXPECT_TRUE(SafetensorsFile::open(folder / "m").tensors().empty());
}

TEST(Safetensors, RefusesToWriteTwoTensorsOfOneName) {
  const TemporaryFolder folder;
  write_file(folder / "m", "old");
  const TensorEntry tensor{"a", DType::u8, {1}, "x"};
  EXPECT_THAT(
      [&] {
        write_safetensors(folder / "m", {tensor, tensor}, {});
      },
      ThrowsMessage<Error>(HasSubstr("two tensors are named 'a'")));
  EXPECT_EQ(read_file(folder / "m"), "old");
}

TEST(Safetensors, RefusesAFileCutAtAnyLength) {
  const TemporaryFolder folder;
  const std::string memory = sample_memory();
  write_safetensors(folder / "m", sample(memory), {{"k", "v"}});
  const std::string whole = read_file(folder / "m");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(SafetensorsFile::parse(std::string_view(whole).substr(0, length), "m"), Error) << length;
  }
  EXPECT_THROW(SafetensorsFile::parse(whole + "x", "m"), Error);
}

TEST(Safetensors, SurvivesEveryFlippedBit) {
  const TemporaryFolder folder;
  const std::string memory = sample_memory();
  write_safetensors(folder / "m", sample(memory), {{"k", "v"}});
  const std::string whole = read_file(folder / "m");
  int refused = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {  // a name or a value may have changed: what is accepted must still lie inside the file
      const SafetensorsFile file = SafetensorsFile::parse(flipped, "m");
      for (const TensorEntry& tensor : file.tensors()) {
        ASSERT_GE(tensor.bytes.data(), flipped.data());
        ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), flipped.data() + flipped.size());
        ASSERT_EQ(static_cast<int64_t>(tensor.bytes.size()),
                  tensor.shape.elements() * dtype_bytes(tensor.dtype));
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Safetensors, RefusesHostileLengths) {
  expect_refused("", "0 bytes are too few");
  expect_refused(std::string(8, '\xff'),
                 "a header of 18446744073709551615 bytes, expected at most 100000000");
  expect_refused(std::string("\x10\0\0\0\0\0\0\0{}", 10),
                 "a header of 16 bytes, the file holds 2; is it truncated?");
  expect_refused(file_of(""), "does not begin with '{'");
  expect_refused(file_of("[]"), "does not begin with '{'");
  expect_refused(file_of(" {}"), "does not begin with '{'");
}

TEST(Safetensors, RefusesHostileHeaders) {
  const auto one = [](const std::string& fields) {
    return file_of("{\"a\":{" + fields + "}}", std::string(8, 'x'));
  };
  expect_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9]")"), "syntax error");
  expect_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9])"),
                 "tensor 'a' has the data offsets [0,9], the file holds 8 bytes of data; is it truncated?");
  expect_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "data offsets [8,0]");
  expect_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[-1,7])"),
                 "'data_offsets' has an unexpected value");
  expect_refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"),
                 "has 3 data offsets, expected 2");
  expect_refused(
      one(R"("dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551616])"),
      "unexpected value");
  expect_refused(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
                 "tensor 'a' has 8 bytes of data, F32 [3] needs 12");
  expect_refused(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"),
                 "4 bytes behind the last tensor belong to none");
  expect_refused(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "leaves a hole behind");
  expect_refused(
      one(R"("dtype":"C64","shape":[1],"data_offsets":[0,8])"),
      "tensor 'a' has type 'C64', which is not read here (known: F32, BF16, F16, I32, I64, U8, F64)");
  expect_refused(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "negative dimension -2");
  expect_refused(one(R"("dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8])"), "has 7 dimensions");
  expect_refused(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
                 "more than 2^48");
  expect_refused(
      one(R"("dtype":"F32","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0])"),
      "more than 2^48");
  expect_refused(one(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,8])"),
                 "'shape' has an unexpected value: [1.5]");
  expect_refused(one(R"("shape":[2],"data_offsets":[0,8])"), "the key 'dtype' is missing");
  expect_refused(file_of(R"({"a":7})"), "tensor 'a': expected a JSON object, found number");
  expect_refused(file_of(R"({"__metadata__":{"k":1}})"), "'__metadata__' has an unexpected value");
  expect_refused(file_of(R"({"a":{},"a":{}})"), "the key 'a' occurs twice");
}

TEST(Safetensors, RefusesOverlaps) {
  expect_refused(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                         "123456"),
                 "the data of tensor 'b' overlaps the data before it");
  expect_refused(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                         "1234"),
                 "the data of tensor 'b' overlaps the data before it");
}

TEST(Safetensors, RefusesWhatIsNotAFile) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { SafetensorsFile::open(folder / "none"); },
              ThrowsMessage<Error>(HasSubstr("none: open failed")));
  EXPECT_THAT([&] { SafetensorsFile::open(folder.path().string()); },
              ThrowsMessage<Error>(HasSubstr("is a directory")));
  std::ofstream(folder / "empty");
  EXPECT_THAT([&] { SafetensorsFile::open(folder / "empty"); },
              ThrowsMessage<Error>(HasSubstr("0 bytes are too few")));
}

}  // namespace
}  // namespace kindred
