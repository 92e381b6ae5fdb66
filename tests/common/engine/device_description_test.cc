#include "common/engine/device_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/json.h"
#include "common/io/file.h"

namespace kindred {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kFolder = KINDRED_SOURCE_DIR "/configs/devices";

/// Of the H100's file with one change.
std::string refusal(const std::function<void(Json&)>& damage) {
  Json json = parse_json(read_file(kFolder + "/h100.json"), "h100");
  damage(json);
  try {
    parse_device_description(json_text(json), "file");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(DeviceDescription, EveryFileIsUnderstood) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const DeviceDescription device = open_device_description(entry.path());
    EXPECT_GE(device.flops(DType::f16), device.flops(DType::f32)) << device.name;
    EXPECT_EQ(device.flops(DType::bf16) > 0, device.compute_capability >= 80) << device.name;
    ++found;
  }
  EXPECT_GE(found, 4);
}

TEST(DeviceDescription, ReadsWhatTheFileSays) {
  const DeviceDescription h100 = open_device_description(kFolder + "/h100.json");
  EXPECT_EQ(h100.text(), "NVIDIA H100 80GB HBM3 (compute capability 9.0)");
  EXPECT_EQ(h100.memory_bytes, 80'000'000'000);
  EXPECT_EQ(h100.bytes_per_s, 3.35e12);
  EXPECT_EQ(h100.flops(DType::bf16), 989.5e12);
  EXPECT_EQ(parse_json(h100.cudnn_json, "cudnn")["multiProcessorCount"], 132);
}

TEST(DeviceDescription, RefusesEveryMissingKey) {
  const Json whole = parse_json(read_file(kFolder + "/h100.json"), "h100");
  for (const char* section : {"cudnn", "rates"}) {
    for (const auto& [key, value] : whole[section].items()) {
      EXPECT_THAT(refusal([&, lost = key](Json& json) { json[section].erase(lost); }),
                  HasSubstr("'" + key + "'"));
    }
  }
  for (const auto& [key, value] : whole.items()) {
    EXPECT_THAT(refusal([&, lost = key](Json& json) { json.erase(lost); }), HasSubstr("'" + key + "'"));
  }
}

TEST(DeviceDescription, RefusesNumbersOutOfBounds) {
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["warpSize"] = 0; }),
              AllOf(HasSubstr("file: cudnn: 'warpSize' is 0"), HasSubstr("32 to 32")));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["multiProcessorCount"] = -1; }), HasSubstr("is -1"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["totalGlobalMem"] = 1; }),
              HasSubstr("'totalGlobalMem' is 1"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["deviceVer"] = 700; }), HasSubstr("750 to"));
  EXPECT_THAT(refusal([](Json& json) {
                json["cudnn"]["maxGridSize"] = {1, 2};
              }),
              HasSubstr("2 numbers; expected 3"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["maxBlockSize"] = {1024, 0, 64}; }), HasSubstr("is 0"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["deviceName"] = ""; }), HasSubstr("0 characters"));
  EXPECT_THAT(refusal([](Json& json) { json["rates"]["f32_flops"] = 0; }), HasSubstr("'f32_flops' is 0"));
  EXPECT_THAT(refusal([](Json& json) { json["rates"]["memory_bytes_per_s"] = -1e12; }),
              HasSubstr("expected"));
}

TEST(DeviceDescription, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["warpSise"] = 32; }),
              HasSubstr("did you mean 'warpSize'"));
  EXPECT_THAT(refusal([](Json& json) { json["rates"]["fp32_flops"] = 1e12; }), HasSubstr("'f32_flops'"));
  EXPECT_THAT(refusal([](Json& json) { json["cudn"] = 1; }), HasSubstr("did you mean 'cudnn'"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"]["warpSize"] = "32"; }), HasSubstr("'warpSize'"));
  EXPECT_THAT(refusal([](Json& json) { json["cudnn"] = 3; }), HasSubstr("cudnn"));
}

TEST(DeviceDescription, RefusesATruncatedFile) {
  const std::string whole = std::string(trim(read_file(kFolder + "/h100.json")));
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(parse_device_description(whole.substr(0, length), "file"), Error) << length;
}

}  // namespace
}  // namespace kindred
