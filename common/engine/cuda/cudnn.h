// cuDNN's backend (graph) API, as far as we use it: descriptors that free themselves, attributes by type, and
// errors as Error. Source: cuDNN 9 documentation, "Graph API", "Backend Descriptor Types".
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace kindred::cudnn {

/// Throws Error naming `call`, the status and cuDNN's last error text.
void check(cudnnStatus_t status, std::string_view call,
           std::source_location where = std::source_location::current());

/// "CUDNN_STATUS_NOT_SUPPORTED: reason", of the last failed call of this thread.
std::string error_text(cudnnStatus_t status);

/// Which attribute type a C++ type is stored as.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type();
template <>
constexpr cudnnBackendAttributeType_t attribute_type<int64_t>() {
  return CUDNN_TYPE_INT64;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<int32_t>() {
  return CUDNN_TYPE_INT32;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<float>() {
  return CUDNN_TYPE_FLOAT;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<bool>() {
  return CUDNN_TYPE_BOOLEAN;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<char>() {
  return CUDNN_TYPE_CHAR;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnDataType_t>() {
  return CUDNN_TYPE_DATA_TYPE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnConvolutionMode_t>() {
  return CUDNN_TYPE_CONVOLUTION_MODE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendHeurMode_t>() {
  return CUDNN_TYPE_HEUR_MODE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendNumericalNote_t>() {
  return CUDNN_TYPE_NUMERICAL_NOTE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendBehaviorNote_t>() {
  return CUDNN_TYPE_BEHAVIOR_NOTE;
}
template <>
constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendDescriptor_t>() {
  return CUDNN_TYPE_BACKEND_DESCRIPTOR;
}

/// Owns a backend descriptor. What was set on another may go before it: cuDNN keeps what it needs (checked
/// with freed memory overwritten).
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  /// Returns itself, for chains: Descriptor(type).set(...).set(...).finalize("tensor").
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set_raw(name, attribute_type<T>(), static_cast<int64_t>(values.size()), values.data());
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set(name, std::span<const T>(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, value.get());
  }

  /// At most `most` values.
  template <class T>
  std::vector<T> get_all(cudnnBackendAttributeName_t name, int64_t most) const {
    std::vector<T> values(static_cast<size_t>(most));
    values.resize(static_cast<size_t>(get_raw(name, attribute_type<T>(), most, values.data())));
    return values;
  }
  template <class T>
  T get_one(cudnnBackendAttributeName_t name) const {
    T value{};
    if (get_raw(name, attribute_type<T>(), 1, &value) != 1)
      fail("cudnn: attribute ", int{name}, " has no value");
    return value;
  }
  /// How many values the attribute has.
  int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const;
  /// Lets cuDNN fill descriptors that we made; those past the count it has are left as they are. Returns how
  /// many were filled.
  int64_t fill(cudnnBackendAttributeName_t name, std::span<Descriptor> into) const;

  /// Throws Error naming `what`.
  Descriptor& finalize(std::string_view what);
  /// The same for callers who go on when it fails.
  cudnnStatus_t try_finalize() { return cudnnBackendFinalize(descriptor_); }

 private:
  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
               const void* values);
  int64_t get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
                  void* values) const;

  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace kindred::cudnn
