// Dense arrays. A tensor is a pointer, a shape and a type: no strides, no layout tag. Images are NHWC.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace kindred {

enum class DType : uint8_t { f32, bf16, f16, i32, i64, u8, f64 };

int64_t dtype_bytes(DType dtype);
std::string_view dtype_text(DType dtype);

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

/// Up to six dimensions, row-major. Throws Error on more, on a negative one, and on a product past 2^60.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i < 0 ? i + rank_ : i)]; }
  /// Product of all dimensions; 1 for rank 0.
  int64_t elements() const;
  /// Product of all but the last: an [N,H,W,C] tensor is N*H*W rows of C.
  int64_t rows() const;
  bool operator==(const Shape& other) const;
  /// "[8,14,14,250]"
  std::string text() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

struct Device {
  enum Type : uint8_t { cpu, cuda };
  Type type = cpu;
  int index = 0;

  /// "cpu", "cuda" or "cuda:1". Throws Error on anything else.
  static Device parse(std::string_view text);
  std::string text() const;
  bool operator==(const Device&) const = default;
};

class Tensor {
 public:
  /// An empty tensor: no data, rank 0. Stands for "not there" in Io and Grads.
  Tensor() = default;

  /// Owns zeroed memory, aligned to 64 bytes. CPU only; device memory comes from a Stream.
  explicit Tensor(Shape shape, DType dtype = DType::f32);

  /// Shares memory that came from Stream::allocate (or elsewhere): `owner` lives as long as any view of it.
  static Tensor adopt(std::shared_ptr<std::byte> owner, Shape shape, DType dtype, Device device);

  /// Looks at memory that somebody else owns and that must live longer.
  static Tensor view(void* data, Shape shape, DType dtype = DType::f32, Device device = {});

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * dtype_bytes(dtype_); }
  explicit operator bool() const { return data_ != nullptr; }

  /// The elements. A tensor is a handle, as a pointer is: constness is not passed on. Requires: T is the
  /// dtype.
  template <class T>
  T* data() const {
    KINDRED_ASSERT(dtype_of<T>() == dtype_);
    return static_cast<T*>(static_cast<void*>(data_));
  }
  float* f32() const { return data<float>(); }
  void* raw() const { return data_; }

  /// The same memory under another shape. Throws Error unless it has as many elements.
  Tensor reshaped(Shape shape) const;
  /// Rows [begin, begin + count) of the first dimension; shares memory. Requires: inside the tensor.
  Tensor slice(int64_t begin, int64_t count) const;

 private:
  std::shared_ptr<std::byte> owner_;
  std::byte* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_;
};

}  // namespace kindred
