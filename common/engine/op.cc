#include "common/engine/op.h"

namespace kindred {

Registry<KernelFactory>& kernel_registry() {
  static Registry<KernelFactory> registry("kernel");
  return registry;
}

}  // namespace kindred
