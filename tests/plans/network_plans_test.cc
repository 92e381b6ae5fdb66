// Every convolution of every network in training, planned by the real cuDNN for devices that this machine
// does not have.
#include <gtest/gtest.h>

#include <map>
#include <ostream>

#include "common/engine/convolution_plans.h"
#include "common/models/model.h"
#include "common/ops/network_convolutions.h"

namespace kindred {
namespace {

constexpr int64_t kBatch = 64;

/// The convolutions of all registered networks, each problem once, with the network and node it comes from.
std::vector<std::pair<Convolution, std::string>> all_convolutions(DType dtype) {
  std::map<std::string, std::pair<Convolution, std::string>> found;
  for (const std::string& arch : backbone_names()) {
    ModelConfig config;
    config.arch = arch;
    config.embedding = 128;
    config.neck_tail = true;
    config.image = find_backbone(arch).image;
    ParameterSet parameters;
    const Graph graph = build_model(parameters, config, kBatch);
    for (const NetworkConvolution& each : network_convolutions(graph, dtype, true)) {
      found.emplace(each.convolution.text(), std::pair(each.convolution, concat(arch, "/", each.first_node)));
    }
  }
  std::vector<std::pair<Convolution, std::string>> all;
  for (auto& [text, convolution] : found) all.push_back(std::move(convolution));
  return all;
}

struct Case {
  std::string device;
  DType dtype;
  bool tf32 = false;

  std::string text() const { return concat(device, "_", tf32 ? "tf32" : dtype_text(dtype)); }
  friend void PrintTo(const Case& of, std::ostream* out) { *out << of.text(); }
};

class NetworkPlans : public testing::TestWithParam<Case> {};

TEST_P(NetworkPlans, EveryConvolutionOfEveryNetworkHasADeterministicPlan) {
  if (!plans_available()) GTEST_SKIP() << "this build has no cuDNN";
  const auto& [name, dtype, tf32] = GetParam();
  const DeviceDescription device =
      open_device_description(concat(KINDRED_SOURCE_DIR "/configs/devices/", name, ".json"));
  std::vector<Convolution> convolutions;
  for (const auto& [convolution, node] : all_convolutions(dtype)) convolutions.push_back(convolution);
  ASSERT_GT(convolutions.size(), 300u);

  const PlanRules rules{.tf32 = tf32};
  const std::vector<PlanFacts> plans = plan_convolutions(convolutions, device, rules);
  ASSERT_EQ(plans.size(), convolutions.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    EXPECT_GE(plans[i].engine, 0) << convolutions[i].text();
    EXPECT_LE(plans[i].workspace_bytes, rules.most_workspace_bytes) << convolutions[i].text();
    for (const std::string& note : plans[i].notes)
      EXPECT_NE(note, "nondeterministic") << convolutions[i].text();
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* device : {"a100", "h100", "b200"}) {
    for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) all.push_back({device, dtype});
    all.push_back({device, DType::f32, true});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Devices, NetworkPlans, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.text(); });

}  // namespace
}  // namespace kindred
