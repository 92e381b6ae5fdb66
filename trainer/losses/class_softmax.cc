#include "trainer/losses/class_softmax.h"

#include "common/engine/launch.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

void declare_softmax_options(Options& options, const std::string& loss, double scale) {
  options.add(loss + ".scale", scale, "multiplies scores before the softmax");
  options.add(loss + ".label_smoothing", 0.0, "share of the target that is spread over all classes");
  ClassCentres::declare_options(options, loss);
}

SoftmaxSpec softmax_spec(const Options& options, const std::string& loss) {
  SoftmaxSpec spec;
  spec.centres.loss = loss;
  spec.scale = options.get<double>(loss + ".scale");
  spec.smoothing = options.get<double>(loss + ".label_smoothing");
  require_option(options, loss + ".scale", spec.scale > 0, "more than 0");
  require_option(options, loss + ".label_smoothing", spec.smoothing >= 0 && spec.smoothing < 1, "in [0, 1)");
  return spec;
}

int sub_centres(const Options& options, const std::string& name) {
  const int64_t count = options.get<int64_t>(name);
  require_option<int64_t>(options, name, count >= 1 && count <= 64, "a whole number from 1 to 64");
  return static_cast<int>(count);
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
