// One convolution as a graph of one operation, and the execution plan chosen for it.
#pragma once

#include "common/engine/convolution_plans.h"
#include "common/engine/cuda/cudnn.h"

namespace kindred::cudnn {

/// The names by which a variant pack binds memory to a convolution's tensors.
enum TensorId : int64_t { kImages = 1, kWeights = 2, kOutputs = 3 };

/// Every tensor must start at a multiple of so many bytes: with less, only plans that copy first are left.
constexpr int64_t kTensorAlignment = 16;

struct ConvolutionPlan {
  Descriptor plan;  // finalised: CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR
  PlanFacts facts;
};

/// cuDNN's first choice that keeps to the rules. device: of device_properties. The pass writes with =:
/// images' gradient, weights' gradient or outputs. Throws Error as plan_convolutions does; `device_text`
/// names the device in it.
ConvolutionPlan choose_plan(const Convolution& convolution, const Descriptor& device,
                            std::string_view device_text, const PlanRules& rules);

}  // namespace kindred::cudnn
