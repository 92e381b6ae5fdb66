#include "common/engine/stream.h"

#include "common/engine/cpu/cpu_stream.h"

namespace kindred {

std::unique_ptr<Stream> make_stream(Device device) {
  if (device.type == Device::cpu) return make_cpu_stream();
  fail("device '", device, "': this build has no cuda backend yet; use device 'cpu'");
}

}  // namespace kindred
