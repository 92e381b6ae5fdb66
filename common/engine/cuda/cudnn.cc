#include "common/engine/cuda/cudnn.h"

#include <utility>

namespace kindred::cudnn {

std::string error_text(cudnnStatus_t status) {
  char reason[1024] = "";
  cudnnGetLastErrorString(reason, sizeof reason);
  return concat(cudnnGetErrorString(status), reason[0] == '\0' ? "" : ": ", trim(reason));
}

void check(cudnnStatus_t status, std::string_view call, std::source_location where) {
  if (status != CUDNN_STATUS_SUCCESS)
    fail("cudnn: ", call, " failed: ", error_text(status), " (", where.file_name(), ":", where.line(), ")");
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  check(cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
}
Descriptor::~Descriptor() {
  if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
}
Descriptor::Descriptor(Descriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                         const void* values) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(descriptor_, name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) check(status, concat("setting attribute ", int{name}));
}

int64_t Descriptor::get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
                            void* values) const {
  int64_t count = 0;
  const cudnnStatus_t status = cudnnBackendGetAttribute(descriptor_, name, type, most, &count, values);
  if (status != CUDNN_STATUS_SUCCESS) check(status, concat("reading attribute ", int{name}));
  return count;
}

int64_t Descriptor::count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
  return get_raw(name, type, 0, nullptr);
}

int64_t Descriptor::fill(cudnnBackendAttributeName_t name, std::span<Descriptor> into) const {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& descriptor : into) raw.push_back(descriptor.get());
  return get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
}

Descriptor& Descriptor::finalize(std::string_view what) {
  const cudnnStatus_t status = try_finalize();
  if (status != CUDNN_STATUS_SUCCESS) check(status, concat("cudnnBackendFinalize of the ", what));
  return *this;
}

}  // namespace kindred::cudnn
