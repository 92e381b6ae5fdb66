// What cuDNN asks a device for before it plans. The one place where a machine without a GPU and one with it
// differ: everything behind these two functions is the same.
#pragma once

#include "common/engine/cuda/cudnn.h"
#include "common/engine/device_description.h"

namespace kindred::cudnn {

/// Of a device that a file describes; needs no driver. Throws Error when cuDNN refuses it.
Descriptor device_properties(const DeviceDescription& device);

/// Of a device of this machine. Throws Error naming it when there is none or no driver.
Descriptor device_properties(int index);

}  // namespace kindred::cudnn
