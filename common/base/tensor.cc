#include "common/base/tensor.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace kindred {

constexpr std::align_val_t kAlignment{64};

int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::i64:
    case DType::f64:
      return 8;
    case DType::u8:
      return 1;
  }
  KINDRED_ASSERT(false);
  return 0;
}

std::string_view dtype_text(DType dtype) {
  constexpr std::array<std::string_view, 7> kNames = {"f32", "bf16", "f16", "i32", "i64", "u8", "f64"};
  return kNames[static_cast<size_t>(dtype)];
}

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  constexpr int64_t kMaxElements = int64_t{1} << 60;  // times 8 bytes still fits an int64_t
  if (dims.size() > kMaxRank)
    fail("a shape of ", dims.size(), " dimensions; at most ", kMaxRank, " are supported");
  std::copy(dims.begin(), dims.end(), dims_.begin());
  int64_t product = 1;
  for (const int64_t dim : dims) {
    if (dim < 0) fail("shape ", text(), " has a negative dimension");
    const int64_t factor = std::max<int64_t>(1, dim);  // a later zero does not make an overflow harmless
    if (product > kMaxElements / factor) fail("shape ", text(), " has too many elements");
    product *= factor;
  }
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= dims_[static_cast<size_t>(i)];
  return product;
}

int64_t Shape::rows() const {
  int64_t product = 1;
  for (int i = 0; i + 1 < rank_; ++i) product *= dims_[static_cast<size_t>(i)];
  return product;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(dims_.begin(), dims_.begin() + rank_, other.dims_.begin());
}

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += concat(i == 0 ? "" : ",", (*this)[i]);
  return out + "]";
}

Device Device::parse(std::string_view text) {
  if (text == "cpu") return {cpu, 0};
  if (text == "cuda") return {cuda, 0};
  if (text.starts_with("cuda:")) {
    const std::string_view digits = text.substr(5);
    const bool number =
        !digits.empty() && digits.size() <= 4 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) return {cuda, static_cast<int>(parse_int(digits, "device index"))};
  }
  fail("unknown device '", text, "'; expected 'cpu', 'cuda' or 'cuda:N'");
}

std::string Device::text() const { return type == cpu ? "cpu" : concat("cuda:", index); }

Tensor::Tensor(Shape shape, DType dtype) : shape_(shape), dtype_(dtype) {
  const auto size = static_cast<size_t>(std::max<int64_t>(1, bytes()));
  void* memory = ::operator new(size, kAlignment, std::nothrow);
  if (memory == nullptr) fail("cannot get ", bytes_text(bytes()), " of memory for a tensor ", shape_);
  owner_.reset(static_cast<std::byte*>(memory), [](std::byte* data) { ::operator delete(data, kAlignment); });
  std::memset(memory, 0, size);
  data_ = owner_.get();
}

Tensor Tensor::adopt(std::shared_ptr<std::byte> owner, Shape shape, DType dtype, Device device) {
  Tensor tensor = view(owner.get(), shape, dtype, device);
  tensor.owner_ = std::move(owner);
  return tensor;
}

Tensor Tensor::view(void* data, Shape shape, DType dtype, Device device) {
  Tensor tensor;
  tensor.data_ = static_cast<std::byte*>(data);
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  tensor.device_ = device;
  return tensor;
}

Tensor Tensor::reshaped(Shape shape) const {
  if (shape.elements() != elements()) {
    fail("cannot see a tensor ", shape_, " as ", shape, ": ", elements(), " elements against ",
         shape.elements());
  }
  Tensor tensor = *this;
  tensor.shape_ = shape;
  return tensor;
}

Tensor Tensor::slice(int64_t begin, int64_t count) const {
  KINDRED_ASSERT(shape_.rank() >= 1 && begin >= 0 && count >= 0 && begin + count <= shape_[0]);
  Tensor tensor = *this;
  tensor.shape_[0] = count;
  const int64_t row = shape_[0] == 0 ? 0 : bytes() / shape_[0];
  tensor.data_ += begin * row;
  return tensor;
}

}  // namespace kindred
