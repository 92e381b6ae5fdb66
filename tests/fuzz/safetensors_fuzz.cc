// Fuzz target: any bytes as a safetensors file. What is accepted lies inside the bytes and has the size of
// its shape.
#include "common/base/error.h"
#include "common/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto file = kindred::SafetensorsFile::parse(bytes, "fuzz");
    for (const kindred::TensorEntry& tensor : file.tensors()) {
      KINDRED_ASSERT(tensor.bytes.data() >= bytes.data());
      KINDRED_ASSERT(tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size());
      KINDRED_ASSERT(static_cast<int64_t>(tensor.bytes.size()) ==
                     tensor.shape.elements() * kindred::dtype_bytes(tensor.dtype));
      KINDRED_ASSERT(file.find(tensor.name) != nullptr);
    }
  } catch (const kindred::Error&) {
  }
  return 0;
}
