// What a plan keeps to, and what is said when none does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/engine/convolution_plans.h"

namespace kindred {
namespace {

using testing::AllOf;
using testing::HasSubstr;

DeviceDescription device(const char* name) {
  return open_device_description(concat(KINDRED_SOURCE_DIR "/configs/devices/", name, ".json"));
}

/// 3x3, 64 to 96 channels, 28x28, of four images.
Convolution some_convolution(ConvolutionPass pass, DType dtype) {
  return {pass, dtype, {4, 28, 28, 64}, {4, 28, 28, 96}, 3, 3, 1, 1, 1, 1, 1, 1, 1};
}

/// A stem: 3x3 at stride 2 over three channels.
Convolution stem(ConvolutionPass pass, DType dtype) {
  return {pass, dtype, {64, 224, 224, 3}, {64, 112, 112, 32}, 3, 3, 2, 2, 1, 1, 1, 1, 1};
}

PlanFacts plan(const Convolution& convolution, const DeviceDescription& on, const PlanRules& rules = {}) {
  return plan_convolutions({&convolution, 1}, on, rules).front();
}

template <class On>
std::string refusal(const Convolution& convolution, const On& on, const PlanRules& rules = {}) {
  try {
    plan_convolutions({&convolution, 1}, on, rules);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool noted(const PlanFacts& plan, const char* note) {
  return std::find(plan.notes.begin(), plan.notes.end(), note) != plan.notes.end();
}

constexpr ConvolutionPass kPasses[] = {ConvolutionPass::forward, ConvolutionPass::backward_data,
                                       ConvolutionPass::backward_weights};

class ConvolutionPlans : public testing::Test {
 protected:
  void SetUp() override {
    if (!plans_available()) GTEST_SKIP() << "this build has no cuDNN";
  }
};

TEST(ConvolutionPlansWithoutCuda, SayThatTheBuildHasNoCudnn) {
  if (plans_available()) GTEST_SKIP() << "this build has cuDNN";
  const Convolution some = some_convolution(ConvolutionPass::forward, DType::f32);
  EXPECT_THAT(refusal(some, device("h100")), HasSubstr("no cuDNN"));
  EXPECT_THAT(refusal(some, Device{Device::cuda, 0}), HasSubstr("-DKINDRED_CUDA=ON"));
}

TEST_F(ConvolutionPlans, NameTheLibrary) { EXPECT_THAT(plans_library(), testing::StartsWith("cuDNN 9.")); }

TEST_F(ConvolutionPlans, DependOnTheDevice) {
  const Convolution some = some_convolution(ConvolutionPass::forward, DType::f16);
  EXPECT_NE(plan(some, device("t4")).engine, plan(some, device("h100")).engine);
}

TEST_F(ConvolutionPlans, InBf16AreRefusedWhereTheDeviceHasNone) {
  for (const ConvolutionPass pass : kPasses) {
    EXPECT_THAT(
        refusal(some_convolution(pass, DType::bf16), device("t4")),
        AllOf(HasSubstr("Tesla T4 (compute capability 7.5)"), HasSubstr("no bf16"), HasSubstr("f16 or f32")));
    EXPECT_EQ(refusal(some_convolution(pass, DType::f16), device("t4")), "");
  }
}

// cuDNN itself knows: were our own check gone, there would still be no plan.
TEST_F(ConvolutionPlans, InBf16FindNoEngineOnATuringDevice) {
  DeviceDescription t4 = device("t4");
  t4.compute_capability = 80;  // what our check reads; cuDNN reads the JSON
  EXPECT_THAT(refusal(some_convolution(ConvolutionPass::forward, DType::bf16), t4),
              AllOf(HasSubstr("forward bf16 x[4,28,28,64] w[96,3,3,64] y[4,28,28,96] s=1x1 p=1,1,1,1 g=1"),
                    HasSubstr("Tesla T4")));
}

TEST_F(ConvolutionPlans, InStrictF32RoundNoInputs) {
  for (const char* name : {"a100", "h100", "b200"}) {
    for (const ConvolutionPass pass : kPasses) {
      const PlanFacts strict = plan(some_convolution(pass, DType::f32), device(name));
      EXPECT_FALSE(noted(strict, "tensor_core")) << name;
      EXPECT_FALSE(noted(strict, "down_convert_inputs")) << name;
      EXPECT_TRUE(
          noted(plan(some_convolution(pass, DType::f32), device(name), {.tf32 = true}), "tensor_core"))
          << name << ": with TF32 the first choice is on tensor cores, or this test shows nothing";
    }
  }
}

TEST_F(ConvolutionPlans, AreDeterministicUnlessToldOtherwise) {
  const Convolution weights = stem(ConvolutionPass::backward_weights, DType::f32);
  EXPECT_TRUE(
      noted(plan(weights, device("h100"), {.deterministic = false, .tf32 = true}), "nondeterministic"));
  EXPECT_FALSE(noted(plan(weights, device("h100"), {.tf32 = true}), "nondeterministic"));
}

TEST_F(ConvolutionPlans, KeepToTheWorkspaceLimit) {
  const Convolution weights = stem(ConvolutionPass::backward_weights, DType::bf16);
  const DeviceDescription h100 = device("h100");
  const int64_t first_choice = plan(weights, h100).workspace_bytes;
  ASSERT_GT(first_choice, 0);
  EXPECT_LT(plan(weights, h100, {.most_workspace_bytes = first_choice - 1}).workspace_bytes, first_choice);
}

TEST_F(ConvolutionPlans, SayWhyThereIsNone) {
  const Convolution weights = stem(ConvolutionPass::backward_weights, DType::bf16);
  EXPECT_THAT(refusal(weights, device("h100"), {.most_workspace_bytes = -1}),
              AllOf(HasSubstr("no plan for backward_weights bf16 x[64,224,224,3]"), HasSubstr("H100"),
                    HasSubstr("above the workspace limit"), HasSubstr("not deterministic")));
}

TEST_F(ConvolutionPlans, NameAProblemThatIsNone) {
  Convolution wrong = some_convolution(ConvolutionPass::forward, DType::bf16);
  wrong.outputs = {4, 27, 28, 96};
  EXPECT_THAT(refusal(wrong, device("h100")),
              AllOf(HasSubstr("y[4,27,28,96]"), HasSubstr("CUDNN_STATUS_BAD_PARAM")));
  EXPECT_THAT(refusal(some_convolution(ConvolutionPass::forward, DType::i32), device("h100")),
              HasSubstr("i32"));
}

TEST_F(ConvolutionPlans, ForADeviceThatIsNotThereSayWhichOne) {
  const Convolution some = some_convolution(ConvolutionPass::forward, DType::f32);
  EXPECT_THAT(refusal(some, Device{Device::cuda, 200}), HasSubstr("cuda:200"));
  EXPECT_THAT(refusal(some, Device{}), HasSubstr("not for 'cpu'"));
}

}  // namespace
}  // namespace kindred
