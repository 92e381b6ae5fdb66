// The form that networks run in: the same function as the form they train in, with one convolution in place
// of parallel branches.
#include <gtest/gtest.h>

#include <cmath>

#include "common/engine/passes/fuse.h"
#include "common/engine/program.h"
#include "common/models/counts.h"
#include "common/models/model.h"
#include "tests/golden/hash_fill.h"

namespace kindred {
namespace {

ModelConfig classifier(const std::string& arch, int height, int width) {
  ModelConfig config;
  config.arch = arch;
  config.classes = 10;
  config.image.height = height, config.image.width = width;
  return config;
}

std::string arch_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

class FusedForm : public testing::TestWithParam<std::string> {
 protected:
  /// "features" and "logits", one behind the other.
  std::vector<float> run(const ModelConfig& config, bool fused) {
    Program program(build_model(parameters_, config, 2), *stream_, {.fuse = fused});
    test::hash_fill_input(program.input("image"));
    program.forward();
    std::vector<float> values;
    for (const char* name : {"features", "logits"}) {
      const Tensor out = program.output(name);
      values.insert(values.end(), out.f32(), out.f32() + out.elements());
    }
    return values;
  }

  std::unique_ptr<Stream> stream_ = make_stream({});
  ParameterSet parameters_;
};

TEST_P(FusedForm, IsTheTrainingFormsFunction) {
  const ModelConfig config = classifier(GetParam(), 33, 46);
  build_model(parameters_, config, 2);
  parameters_.freeze(*stream_);
  test::hash_fill(parameters_);
  const std::vector<float> plain = run(config, false), fused = run(config, true);
  ASSERT_EQ(plain.size(), fused.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_TRUE(std::isfinite(plain[i]));
    largest = std::max(largest, std::abs(double{plain[i]}));
    difference = std::max(difference, std::abs(double{plain[i]} - fused[i]));
  }
  EXPECT_GT(largest, 0.01);
  EXPECT_LT(difference, 1e-4 * largest);
}

/// Nothing is fused in Swin. The two largest networks are compared in both forms by the golden test.
std::vector<std::string> fused_names() {
  std::vector<std::string> names = backbone_names();
  std::erase_if(names, [](const std::string& name) {
    return name.starts_with("swin") || name == "pphgnet_base" || name == "pphgnetv2_b6";
  });
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, FusedForm, testing::ValuesIn(fused_names()), arch_name);

/// Parameters (a norm that goes into its convolution counts as itself) and multiply-accumulates of the fused
/// graph. Source: the layer tables of PaddleClas and PaddleOCR; PaddleClas publishes 6.62 M and 604 M FLOPs
/// (with 2 for every element of a batch norm) for base.
struct Counts {
  const char* arch;
  int layers;  // that were branches
  int64_t parameters, macs;
};

constexpr int64_t tail_macs(int64_t channels) { return channels * 1280 + 1280 * 1000; }
/// PP-LCNetV3's first convolution keeps its norm, and strided layers an affine block that nothing reads.
constexpr int64_t tail_parameters(int64_t channels) { return tail_macs(channels) + 1000; }

constexpr Counts kCounts[] = {
    {"pplcnetv2_small", 6, 4092840, 280320896},
    {"pplcnetv2_base", 8, 6624232, 593875456},
    {"pplcnetv2_large", 10, 10444200, 1082089600},
    {"pplcnetv2_base_shitu", 8, 4557312 + 513000, 828664832 + 512000},
    {"pplcnetv3_x0_5", 28, 393776 + tail_parameters(256), 51552896 + tail_macs(256)},
    {"pplcnetv3_x0_75", 28, 854704 + tail_parameters(384), 103275968 + tail_macs(384)},
    {"pplcnetv3_x1_0", 28, 1490304 + tail_parameters(512), 166610176 + tail_macs(512)},
    {"pplcnetv3_x1_5", 28, 3291712 + tail_parameters(768), 369256320 + tail_macs(768)},
};

std::string counts_name(const testing::TestParamInfo<Counts>& info) { return info.param.arch; }

class FusedCounts : public testing::TestWithParam<Counts> {};

TEST_P(FusedCounts, AreThoseOfTheReferences) {
  ModelConfig config = classifier(GetParam().arch, 224, 224);
  config.classes = 1000;
  ParameterSet parameters;
  Graph graph = build_model(parameters, config, 1);
  const NetworkCounts counts = count_network(graph);
  EXPECT_EQ(counts.fused_parameters, GetParam().parameters);
  EXPECT_EQ(counts.fused_macs, GetParam().macs);
  fuse(graph);
  int layers = 0, sums = 0;
  for (const Node& node : graph.nodes()) {
    layers += node.op && node.op->type() == "branched_conv";
    sums += node.op && node.op->type() == "add" && node.inputs.size() > 2;
  }
  EXPECT_EQ(layers, GetParam().layers);
  EXPECT_EQ(sums, 0);
}

INSTANTIATE_TEST_SUITE_P(Branched, FusedCounts, testing::ValuesIn(kCounts), counts_name);

}  // namespace
}  // namespace kindred
