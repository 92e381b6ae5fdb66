// Keys and their meaning: cuDNN 9 backend API, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION; most are named
// after cudaDeviceProp and cudaDeviceAttr.
#include "common/engine/device_description.h"

#include <algorithm>
#include <span>
#include <vector>

#include "common/base/json.h"
#include "common/io/file.h"

namespace kindred {
namespace {

struct Bounds {
  const char* key;
  int64_t least, most;
};

constexpr int64_t kBillion = 1'000'000'000, kGrid = 2147483647;

constexpr Bounds kNumbers[] = {
    {"deviceVer", 750, 1990},  // 100 major + 10 minor; CUDA 13 knows nothing older than 7.5
    {"driverVer", 13000, 99990},
    {"cudaDeviceId", 0, 1023},
    {"totalGlobalMem", kBillion, 10'000 * kBillion},
    {"regsPerBlock", 32768, 1 << 20},
    {"multiProcessorCount", 1, 4096},
    {"warpSize", 32, 32},
    {"maxSharedMemoryPerBlock", 16384, 1 << 24},
    {"maxSharedMemoryPerBlockOptin", 16384, 1 << 24},
    {"reservedSharedMemoryPerBlock", 0, 1 << 16},
    {"maxRegistersPerSM", 32768, 1 << 20},
    {"maxCtasPerSM", 1, 1024},
    {"maxThreadsPerBlock", 512, 4096},
    {"maxThreadsPerSM", 512, 65536},
    {"pciDeviceId", 0, 65535},
    {"isTccDriver", 0, 1},
    {"supportCoopLaunch", 0, 1},
    {"smClockRateKHz", 100'000, 20'000'000},
    {"memClockRateKHz", 100'000, 100'000'000},
    {"l2CacheSize", 1 << 16, int64_t{1} << 40},
};
constexpr Bounds kTriples[] = {{"maxGridSize", 1, kGrid}, {"maxBlockSize", 1, 65536}};
constexpr const char* kName = "deviceName";
constexpr size_t kLongestName = 255;

void refuse_unknown(const Json& object, const std::vector<std::string>& known, const std::string& what) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail(what, ": ", unknown_name_text("key", key, known));
  }
}

int64_t checked(int64_t value, const Bounds& bounds, const std::string& what) {
  if (value < bounds.least || value > bounds.most)
    fail(what, ": '", bounds.key, "' is ", value, "; expected ", bounds.least, " to ", bounds.most);
  return value;
}

/// The section "cudnn", checked: nothing in it that cuDNN does not know, nothing missing.
void check_cudnn(const Json& cudnn, const std::string& what) {
  std::vector<std::string> known{kName};
  for (const Bounds& number : kNumbers) {
    checked(json_get<int64_t>(cudnn, number.key, what), number, what);
    known.emplace_back(number.key);
  }
  for (const Bounds& triple : kTriples) {
    const auto values = json_get<std::vector<int64_t>>(cudnn, triple.key, what);
    if (values.size() != 3) fail(what, ": '", triple.key, "' has ", values.size(), " numbers; expected 3");
    for (const int64_t value : values) checked(value, triple, what);
    known.emplace_back(triple.key);
  }
  const auto name = json_get<std::string>(cudnn, kName, what);
  if (name.empty() || name.size() > kLongestName)
    fail(what, ": '", kName, "' has ", name.size(), " characters; expected 1 to ", kLongestName);
  refuse_unknown(cudnn, known, what);
}

/// A rate above 0; or 0 where `none` says that the device may lack it.
double rate(const Json& object, const char* key, bool none, const std::string& what) {
  constexpr double kLeast = 1e9, kMost = 1e18;
  const auto value = json_get<double>(object, key, what);
  if (none && value == 0) return value;
  if (!(value >= kLeast && value <= kMost))
    fail(what, ": '", key, "' is ", value, "; expected ", none ? "0 or " : "", kLeast, " to ", kMost);
  return value;
}

}  // namespace

double DeviceDescription::flops(DType dtype) const {
  if (dtype == DType::f16) return f16_flops;
  return dtype == DType::bf16 ? bf16_flops : f32_flops;
}

std::string DeviceDescription::text() const {
  return concat(name, " (compute capability ", compute_capability / 10, ".", compute_capability % 10, ")");
}

DeviceDescription parse_device_description(std::string_view json, std::string_view what) {
  const std::string here(what);
  const Json all = parse_json(json, what);
  const Json cudnn = json_get<Json>(all, "cudnn", what), rates = json_get<Json>(all, "rates", what);
  json_get<std::vector<std::string>>(all, "sources", what);
  refuse_unknown(all, {"sources", "rates", "cudnn"}, here);
  check_cudnn(cudnn, here + ": cudnn");

  DeviceDescription device;
  const std::string at_rates = here + ": rates";
  device.bytes_per_s = rate(rates, "memory_bytes_per_s", false, at_rates);
  device.f32_flops = rate(rates, "f32_flops", false, at_rates);
  device.f16_flops = rate(rates, "f16_flops", false, at_rates);
  device.bf16_flops = rate(rates, "bf16_flops", true, at_rates);
  refuse_unknown(rates, {"memory_bytes_per_s", "f32_flops", "f16_flops", "bf16_flops"}, at_rates);
  device.name = json_get<std::string>(cudnn, kName, here);
  device.compute_capability = static_cast<int>(json_get<int64_t>(cudnn, "deviceVer", here) / 10);
  device.memory_bytes = json_get<int64_t>(cudnn, "totalGlobalMem", here);
  device.cudnn_json = json_text(cudnn);
  return device;
}

DeviceDescription open_device_description(const std::string& path) {
  constexpr int64_t kMostBytes = 1 << 20;
  return parse_device_description(read_file(path, kMostBytes), path);
}

}  // namespace kindred
