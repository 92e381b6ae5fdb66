// What a build without CUDA says to those who ask for plans.
#include "common/engine/convolution_plans.h"

namespace kindred {

bool plans_available() { return false; }

std::string plans_library() { return "no cuDNN"; }

namespace {

[[noreturn]] void fail_no_cudnn() {
  fail("this build has no cuDNN, so it cannot plan convolutions; configure it with -DKINDRED_CUDA=ON");
}

}  // namespace

std::vector<PlanFacts> plan_convolutions(std::span<const Convolution>, const DeviceDescription&,
                                         const PlanRules&) {
  fail_no_cudnn();
}

std::vector<PlanFacts> plan_convolutions(std::span<const Convolution>, Device, const PlanRules&) {
  fail_no_cudnn();
}

}  // namespace kindred
