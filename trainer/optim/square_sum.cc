// The sum of squares behind the gradient norm: 1024 neighbours at a time in double on the device, then those
// sums on the host. The order depends on the count of values alone.
#include <algorithm>
#include <vector>

#include "common/engine/launch.h"
#include "trainer/optim/flat_update.h"

namespace kindred {
namespace {

constexpr int64_t kPart = 1024, kLanes = 8;  // eight running sums: a chain of additions would wait for itself

double square_sum(Stream& stream, const float* values, int64_t n) {
  const int64_t parts = (n + kPart - 1) / kPart;
  const std::shared_ptr<std::byte> memory = stream.allocate(parts * static_cast<int64_t>(sizeof(double)));
  auto* const sums = reinterpret_cast<double*>(memory.get());
  launch_each(
      stream, parts,
      [=] KINDRED_DEV(int64_t part) {
        const float* const from = values + part * kPart;
        const int64_t count = n - part * kPart < kPart ? n - part * kPart : kPart;
        double lanes[kLanes] = {};
        for (int64_t i = 0; i < count; ++i) {
          const auto value = static_cast<double>(from[i]);
          lanes[i % kLanes] += value * value;
        }
        double sum = 0;
        for (double lane : lanes) sum += lane;
        sums[part] = sum;
      },
      kPart);
  std::vector<double> on_host(static_cast<size_t>(parts));
  stream.copy(on_host.data(), sums, parts * static_cast<int64_t>(sizeof(double)));
  stream.wait();
  double total = 0;
  for (const double sum : on_host) total += sum;
  return total;
}

[[maybe_unused]] const bool registered =
    square_sum_registry().add(Device{Device::KINDRED_LAUNCH_DEVICE}.type == Device::cuda ? "cuda" : "cpu",
                              square_sum, "sum of squares of the gradients");

}  // namespace
}  // namespace kindred
