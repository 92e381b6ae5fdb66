// Fuzz target: any bytes as a .npy file. An accepted array is no larger than its file.
#include "common/base/error.h"
#include "common/io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const kindred::Tensor array = kindred::parse_npy({reinterpret_cast<const char*>(data), size}, "fuzz");
    KINDRED_ASSERT(array.bytes() >= 0 && static_cast<size_t>(array.bytes()) <= size);
  } catch (const kindred::Error&) {
  }
  return 0;
}
