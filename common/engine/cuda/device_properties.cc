#include "common/engine/cuda/device_properties.h"

namespace kindred::cudnn {

Descriptor device_properties(const DeviceDescription& device) {
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(device.cudnn_json));
  return std::move(properties.finalize(concat("properties of ", device)));
}

Descriptor device_properties(int index) {
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, int32_t{index});
  return std::move(properties.finalize(concat("properties of device cuda:", index)));
}

}  // namespace kindred::cudnn
