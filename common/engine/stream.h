// Where work is queued, in order. Always passed, never global; owns the vendor library's handles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/tensor.h"

namespace kindred {

class Stream {
 public:
  virtual ~Stream() = default;

  virtual Device device() const = 0;
  /// Waits until everything queued so far is done.
  virtual void wait() = 0;
  /// Zeroed device memory, aligned to 256 bytes, freed with the last handle.
  virtual std::shared_ptr<std::byte> allocate(int64_t bytes) = 0;
  /// Queues a copy; either side may be host memory.
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;
  /// Queues filling with zero bytes.
  virtual void zero(void* data, int64_t bytes) = 0;
  /// The vendor's stream (cudaStream_t), which our own launches go to; null where a call is the work itself.
  virtual void* native() { return nullptr; }

  void copy(const Tensor& to, const Tensor& from) {
    KINDRED_ASSERT(to.bytes() == from.bytes() && to.dtype() == from.dtype());
    copy(to.raw(), from.raw(), to.bytes());
  }
  void zero(const Tensor& tensor) { zero(tensor.raw(), tensor.bytes()); }
};

/// A zeroed tensor in the stream's memory.
inline Tensor make_tensor(Stream& stream, const Shape& shape, DType dtype = DType::f32) {
  return Tensor::adopt(stream.allocate(shape.elements() * dtype_bytes(dtype)), shape, dtype, stream.device());
}

/// Throws Error when this build or this machine has no such device.
std::unique_ptr<Stream> make_stream(Device device);

}  // namespace kindred
