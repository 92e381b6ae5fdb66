// Parameter and multiply-accumulate counts of every architecture: those of timm's networks (counted on the
// real objects) and, for the sizes that timm does not have, of PaddleClas's tables, + 1280 for timm's bias in
// conv_head. PP-LCNetV3 is counted layer by layer from PaddleOCR's code, plus PP-LCNet's tail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/engine/program.h"
#include "common/models/counts.h"
#include "common/models/model.h"
#include "tests/support/error_of.h"

namespace kindred {
namespace {

using test::error_of;

struct Counts {
  const char* arch;
  int64_t parameters, buffers, macs;
};

constexpr int64_t kHeadBias = 1280;

/// Multiply-accumulates of PP-LCNet's tail behind so many channels; parameters: and a bias for each class.
constexpr int64_t tail_macs(int64_t channels) { return channels * 1280 + 1280 * 1000; }
constexpr int64_t tail_parameters(int64_t channels) { return tail_macs(channels) + 1000; }

constexpr Counts kCounts[] = {
    {"pplcnet_x0_25", 1521184 + kHeadBias, 2752, 16773440},
    {"pplcnet_x0_35", 1643090 + kHeadBias, 3840, 27357832},
    {"pplcnet_x0_5", 1879576 + kHeadBias, 5472, 44731008},
    {"pplcnet_x0_75", 2357008 + kHeadBias, 8224, 94786496},
    {"pplcnet_x1_0", 2952520 + kHeadBias, 10944, 155700480},
    {"pplcnet_x1_5", 4499832 + kHeadBias, 16416, 334188416},
    {"pplcnet_x2_0", 6521512 + kHeadBias, 21888, 580194816},
    {"pplcnet_x2_5", 9017560 + kHeadBias, 27360, 893719680},
    {"pplcnetv2_small", 4128552, 23712, 283463168},
    {"pplcnetv2_base", 6687208, 40832, 600072192},
    {"pplcnetv2_large", 10542120, 62560, 1092344320},
    {"pplcnetv2_base_shitu", 4621824 + 513000, 41856, 837144576 + 512000},
    {"pplcnetv3_x0_5", 1473536 + tail_parameters(256), 36896, 190414976 + tail_macs(256)},
    {"pplcnetv3_x0_75", 3175136 + tail_parameters(384), 55328, 397370048 + tail_macs(384)},
    {"pplcnetv3_x1_0", 5513840 + tail_parameters(512), 73504, 650658048 + tail_macs(512)},
    {"pplcnetv3_x1_5", 12126688 + tail_parameters(768), 110368, 1444954496 + tail_macs(768)},
    {"pphgnet_tiny", 14735864, 15040, 4530447104},
    {"pphgnet_small", 24360872, 20992, 8508610304},
    {"pphgnet_base", 71578184, 46400, 25109564352},
    {"pphgnetv2_b0", 5996550, 12272, 321326464},
    {"pphgnetv2_b1", 6343158, 14088, 489387840},
    {"pphgnetv2_b2", 11221356, 26696, 1137703680},
    {"pphgnetv2_b3", 16292216, 34600, 1770919680},
    {"pphgnetv2_b4", 19796680, 45696, 2734148352},
    {"pphgnetv2_b5", 39569064, 93920, 6538404864},
    {"pphgnetv2_b6", 75256776, 166416, 16840566272},
    {"swin_tiny_224", 28288354, 0, 4490566656},
    {"swin_small_224", 49606258, 0, 8740875264},
    {"swin_base_224", 87768224, 0, 15430946816},
    {"swin_base_384", 87903584, 0, 47083134976},
    {"swin_large_224", 196532476, 0, 34475759616},
    {"swin_large_384", 196735516, 0, 103919087616},
};

class ModelTable : public testing::TestWithParam<Counts> {};

std::string test_name(const testing::TestParamInfo<Counts>& info) { return info.param.arch; }

ModelConfig classifier(const std::string& arch) {
  ModelConfig config;
  config.arch = arch;
  config.classes = 1000;
  config.image = find_backbone(arch).image;
  return config;
}

TEST_P(ModelTable, CountsAreThoseOfTheReferences) {
  ParameterSet parameters;
  const Graph graph = build_model(parameters, classifier(GetParam().arch), 1);
  const NetworkCounts counts = count_network(graph);
  EXPECT_EQ(counts.parameters, GetParam().parameters);
  EXPECT_EQ(counts.buffers, GetParam().buffers);
  EXPECT_EQ(counts.macs, GetParam().macs);
}

TEST_P(ModelTable, StagesAddUpToTheNetwork) {
  ParameterSet parameters;
  const Graph graph = build_model(parameters, classifier(GetParam().arch), 1);
  int64_t count = 0, macs = 0;
  for (const StageCounts& stage : count_stages(graph)) {
    EXPECT_GT(stage.output.rank(), 0) << stage.name;
    count += stage.parameters, macs += stage.macs;
  }
  EXPECT_EQ(count, GetParam().parameters);
  EXPECT_EQ(macs, GetParam().macs);
}

TEST_P(ModelTable, OnlyWeightsOfConvolutionsAndLinearLayersDecay) {
  ParameterSet parameters;
  build_model(parameters, classifier(GetParam().arch), 1);
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    const bool table = info.name.ends_with("relative_position_bias_table");
    EXPECT_EQ(info.decay, info.file_shape.rank() >= 2 && !table) << info.name;
    const bool lab = info.name.ends_with(".scale") || info.name.ends_with("lab.bias") ||
                     info.name == "head.last_conv.2.bias";
    const double lab_scale = std::string_view(GetParam().arch).starts_with("pplcnetv3") ? 0.1 : 0.01;
    EXPECT_EQ(info.lr_scale, lab ? lab_scale : 1) << info.name;
  }
}

TEST_P(ModelTable, OnlyNormsAreExemptWhereBiasesDecay) {
  ParameterSet parameters;
  build_model(parameters, classifier(GetParam().arch), 1);
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    // PaddleOCR gives the norms of branches a decay of zero, and forgets the identity's.
    const bool norm = info.trainable && info.file_shape.rank() == 1 &&
                      (parameters.contains(info.name.substr(0, info.name.rfind('.')) + ".running_mean") ||
                       info.name.find("norm") != std::string::npos);
    const bool identity = info.name.find(".identity.") != std::string::npos;
    EXPECT_EQ(info.exempt, norm && !identity) << info.name;
  }
}

/// The learning-rate scale of each stage's parameters, by the stages' names; 1 for everything else.
TEST_P(ModelTable, StagesLearnAtTheirOwnRates) {
  ModelConfig config = classifier(GetParam().arch);
  ParameterSet plain, scaled;
  build_model(plain, config, 1);
  const auto stages = static_cast<size_t>(find_backbone(config.arch).stages);
  for (size_t s = 0; s < stages; ++s) config.backbone.stage_lr.push_back(0.25 * static_cast<double>(s + 2));
  build_model(scaled, config, 1);
  std::vector<int> parameters_at(stages + 1);
  size_t last = 0;
  for (int i = 0; i < plain.count(); ++i) {
    const ParamInfo& info = scaled.info({i});
    if (!info.trainable) continue;
    const double factor = info.lr_scale / plain.info({i}).lr_scale;
    const bool behind = info.name.starts_with("conv_head") || info.name.starts_with("last_conv") ||
                        info.name.starts_with("classifier") || info.name.starts_with("fc") ||
                        info.name.starts_with("head") || info.name.starts_with("norm");
    const size_t stage = behind ? stages : static_cast<size_t>(std::lround(factor * 4) - 2);
    if (behind) {
      EXPECT_EQ(factor, 1) << info.name;
    }
    ASSERT_LE(stage, stages) << info.name;
    EXPECT_GE(stage, last) << info.name;  // parameters are declared from the stem to the classifier
    last = stage;
    ++parameters_at[stage];
  }
  for (const int count : parameters_at) EXPECT_GT(count, 0);
}

TEST_P(ModelTable, ARetrievalNetworkOfAnySizeGivesUnitRows) {
  for (const auto& [height, width] : {std::pair{32, 32}, {96, 64}, {193, 224}}) {
    for (const bool tail : {false, true}) {
      ModelConfig config = classifier(GetParam().arch);
      config.classes = 0, config.embedding = 24, config.neck_tail = tail, config.bnneck = true;
      config.image.height = height, config.image.width = width;
      ParameterSet parameters;
      const Graph graph = build_model(parameters, config, 3);
      ASSERT_EQ(graph.outputs().size(), 1u);
      EXPECT_EQ(graph.outputs()[0].first, "embedding");
      EXPECT_EQ(graph.shape(graph.outputs()[0].second), (Shape{3, 24}));
      EXPECT_EQ(graph.nodes().back().op->type(), "l2_normalize");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ModelTable, testing::ValuesIn(kCounts), test_name);

TEST(StageRates, MustBeOneForEachStage) {
  ModelConfig config = classifier("pplcnet_x1_0");
  config.backbone.stage_lr = {1, 1, 1, 1, 1};
  const auto build = [&] {
    ParameterSet parameters;
    build_model(parameters, config, 1);
  };
  EXPECT_EQ(error_of(build),
            "pplcnet_x1_0: 'stage_lr' has 5 factors; expected 6 for pplcnet_x1_0, each from 0 to 1000");
  config.backbone.stage_lr = {1, 1, 1, 1, 1, -1};
  EXPECT_THROW(build(), Error);
}

TEST(Dropout, StandsBeforeTheClassifierAndTheNeckInEitherConvention) {
  ModelConfig config = classifier("pplcnetv2_small");
  config.backbone.dropout = 0.2;
  config.backbone.dropout_scale = DropoutScale::downscale_in_infer;
  for (const bool classes : {true, false}) {
    config.classes = classes ? 10 : 0, config.embedding = classes ? 0 : 10;
    ParameterSet parameters;
    const Graph graph = build_model(parameters, config, 1);
    int found = 0;
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      const Node& node = graph.nodes()[i];
      if (!node.op || node.op->type() != "dropout") continue;
      EXPECT_EQ(node.op->attributes(), "rate=0.2 downscale_in_infer");
      EXPECT_EQ(graph.nodes()[i + 1].op->type(), "linear");
      ++found;
    }
    EXPECT_EQ(found, 1);
  }
}

TEST(Dropout, OfPaddleShrinksTheLogitsOfInference) {
  ModelConfig config = classifier("pplcnet_x0_25");
  config.image.height = config.image.width = 32;
  const auto stream = make_stream({});
  ParameterSet parameters;
  build_model(parameters, config, 1);
  parameters.freeze(*stream);
  parameters.initialize(5);  // the classifier's bias is zero
  const auto first_logit = [&](DropoutScale scale) {
    config.backbone.dropout = 0.2, config.backbone.dropout_scale = scale;
    Program program(build_model(parameters, config, 1), *stream, {});
    std::fill_n(program.input("image").f32(), program.input("image").elements(), 0.5f);
    program.forward();
    return program.output("logits").f32()[0];
  };
  EXPECT_FLOAT_EQ(first_logit(DropoutScale::downscale_in_infer),
                  0.8f * first_logit(DropoutScale::upscale_in_train));
}

TEST(ModelRegistry, HasEveryRowOfTheTableAndNoMore) {
  EXPECT_EQ(backbone_names().size(), std::size(kCounts));
  for (const Counts& counts : kCounts) EXPECT_EQ(canonical_arch(counts.arch), counts.arch);
}

TEST(ModelRegistry, AnswersToPaddleClasAndTimmNamesInAnyCase) {
  EXPECT_EQ(canonical_arch("PPLCNet_x1_0"), "pplcnet_x1_0");
  EXPECT_EQ(canonical_arch("lcnet_100"), "pplcnet_x1_0");
  EXPECT_EQ(canonical_arch("PPLCNetV2_base_ShiTu"), "pplcnetv2_base_shitu");
  EXPECT_EQ(canonical_arch("lcnetv2_large.paddle_in1k"), "pplcnetv2_large");
  EXPECT_EQ(canonical_arch("PPLCNetV3_x0_75"), "pplcnetv3_x0_75");
  EXPECT_EQ(canonical_arch("PPHGNet_small"), "pphgnet_small");
  EXPECT_EQ(canonical_arch("hgnet_small"), "pphgnet_small");
  EXPECT_EQ(canonical_arch("PPHGNetV2_B4"), "pphgnetv2_b4");
  EXPECT_EQ(canonical_arch("HGNETV2_B4"), "pphgnetv2_b4");
  EXPECT_EQ(canonical_arch("hgnetv2_b4.ssld_stage2_ft_in1k"), "pphgnetv2_b4");
  EXPECT_EQ(canonical_arch("SwinTransformer_base_patch4_window12_384"), "swin_base_384");
  EXPECT_EQ(canonical_arch("swin_tiny_patch4_window7_224"), "swin_tiny_224");
}

TEST(ModelRegistry, UnknownNamesGetTheNearestOne) {
  const std::string text = error_of([] { canonical_arch("pphgnetv2_b9"); });
  EXPECT_NE(text.find("unknown architecture 'pphgnetv2_b9'; did you mean 'pphgnetv2_b"), std::string::npos)
      << text;
}

TEST(ModelConfig, SurvivesJson) {
  ModelConfig config = classifier("swin_base_384");
  config.classes = 0, config.embedding = 96, config.neck_tail = true, config.bnneck = true;
  config.backbone = {.stem_pool = BackboneOptions::StemPool::zero,
                     .drop_path = 0.2,
                     .dropout = 0.1,
                     .dropout_scale = DropoutScale::downscale_in_infer,
                     .stage_lr = {0, 0.1, 0.25, 1, 2}};
  const ModelConfig again = ModelConfig::from_json(config.to_json(), "test");
  EXPECT_EQ(again.to_json(), config.to_json());
  EXPECT_EQ(again.image, config.image);
}

TEST(ModelConfig, RefusesWhatNoNetworkCanBe) {
  const Json good = classifier("pplcnet_x1_0").to_json();
  const std::pair<const char*, Json> faults[] = {{"arch", "pplcnet"},       {"arch", 7},
                                                 {"classes", -1},           {"classes", 0},
                                                 {"embedding", 64},         {"embedding", 1 << 20},
                                                 {"stem_pool", "max"},      {"drop_path", 1.5},
                                                 {"dropout", -0.1},         {"bnneck", "yes"},
                                                 {"dropout_scale", "none"}, {"stage_lr", {1, 2}},
                                                 {"stage_lr", 1},           {"image", Json::array()}};
  for (const auto& [key, value] : faults) {
    Json bad = good;
    bad[key] = value;
    EXPECT_THROW(ModelConfig::from_json(bad, "test"), Error) << key << " = " << value;
    bad.erase(key);
    EXPECT_THROW(ModelConfig::from_json(bad, "test"), Error) << key << " missing";
  }
  Json large = good;
  large["image"]["height"] = 100000;
  EXPECT_THROW(ModelConfig::from_json(large, "test"), Error);
}

}  // namespace
}  // namespace kindred
