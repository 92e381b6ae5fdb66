// Model files: what goes in comes out, and nothing damaged or foreign gets in.
#include "common/models/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/io/file.h"
#include "common/io/float_formats.h"
#include "common/io/safetensors.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::error_of;

using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

ModelConfig small_config() {
  ModelConfig config;
  config.arch = "pplcnet_x0_25";
  config.embedding = 8;
  config.bnneck = true;
  config.image.height = config.image.width = 32;
  return config;
}

/// A network's parameters with fresh values.
struct Network {
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  explicit Network(const ModelConfig& config, uint64_t seed = 1) {
    build_model(parameters, config, 1);
    parameters.freeze(*stream);
    parameters.initialize(seed);
  }
};

/// Without the care that write_file takes: these tests write hundreds of files.
void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class ModelFile : public testing::Test {
 protected:
  TemporaryFolder folder;
  std::string path = (folder.path() / "model.safetensors").string();
  ModelConfig config = small_config();
  Network network{config};
};

TEST_F(ModelFile, RoundTripKeepsConfigIdAndEveryValue) {
  const std::string id = save_model(path, config, network.parameters, {{"note", "spring"}});
  const ModelInfo info = read_model_info(path);
  EXPECT_EQ(info.model_id, id);
  EXPECT_EQ(info.config.to_json(), config.to_json());
  EXPECT_EQ(info.metadata.at("note"), "spring");
  Network other(config, 2);
  load_weights(path, other.parameters);
  for (int i = 0; i < network.parameters.count(); ++i) {
    EXPECT_EQ(other.parameters.to_file_layout({i}), network.parameters.to_file_layout({i}))
        << network.parameters.info({i}).name;
  }
}

TEST_F(ModelFile, LoadingMovesTheParameterVersion) {
  save_model(path, config, network.parameters);
  const int64_t version = network.parameters.version();
  load_weights(path, network.parameters);
  EXPECT_GT(network.parameters.version(), version);
}

TEST_F(ModelFile, IdDependsOnConfigAndWeightsOnly) {
  const std::string id = save_model(path, config, network.parameters);
  EXPECT_EQ(id.size(), 64u);
  EXPECT_EQ(save_model(path, config, network.parameters, {{"note", "other"}}), id);
  ModelConfig wider = config;
  wider.image.width = 64;
  EXPECT_NE(save_model(path, wider, network.parameters), id);
  network.parameters.value({3}).f32()[0] += 1;
  EXPECT_NE(save_model(path, config, network.parameters), id);
}

TEST_F(ModelFile, LeavesOutWhatIsNotOfTheNetwork) {
  ParameterSet parameters;
  build_model(parameters, config, 1);
  ParamInfo centres;
  centres.name = "arcface.weight";
  centres.file_shape = {10, 8};
  parameters.add(centres);
  parameters.freeze(*network.stream);
  parameters.initialize(1);
  save_model(path, config, parameters);
  EXPECT_EQ(SafetensorsFile::open(path).find("arcface.weight"), nullptr);
  load_weights(path, network.parameters);
}

TEST_F(ModelFile, StoresTimmsNamesAndShapes) {
  save_model(path, config, network.parameters);
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("conv_stem.weight")->shape, (Shape{8, 3, 3, 3}));
  EXPECT_EQ(file.find("blocks.5.0.conv_dw.weight")->shape, (Shape{64, 1, 5, 5}));
  EXPECT_EQ(file.find("blocks.5.1.se.conv_reduce.weight")->shape, (Shape{32, 128, 1, 1}));
  EXPECT_EQ(file.find("blocks.5.1.bn2.running_var")->shape, (Shape{128}));
  EXPECT_EQ(file.find("neck.fc.weight")->shape, (Shape{8, 128}));
}

TEST_F(ModelFile, AnEarlierFileSurvivesAFailedSave) {
  save_model(path, config, network.parameters);
  const std::string before = read_file(path);
  ModelConfig other = config;
  other.embedding = 9;
  EXPECT_THROW(save_model(path, other, network.parameters), Error);
  other.arch = "pplcnet_x0_5";
  EXPECT_THROW(save_model(path, other, network.parameters), Error);
  EXPECT_EQ(read_file(path), before);
}

TEST_F(ModelFile, EveryTruncationIsRefused) {
  save_model(path, config, network.parameters);
  const std::string bytes = read_file(path);
  for (size_t length = 0; length < bytes.size(); length += length < 64 ? 1 : 1 + bytes.size() / 97) {
    put(path, bytes.substr(0, length));
    EXPECT_THROW(read_model_info(path), Error) << length << " of " << bytes.size() << " bytes";
  }
  put(path, bytes + "x");
  EXPECT_THROW(read_model_info(path), Error);
}

TEST_F(ModelFile, EveryFlippedBitIsRefused) {
  save_model(path, config, network.parameters, {{"note", "spring"}});
  const std::string bytes = read_file(path);
  uint64_t header = 0;
  std::copy_n(bytes.data(), 8, reinterpret_cast<char*>(&header));
  for (size_t at = 0; at < bytes.size(); at += at < 8 ? 1 : at < header ? 29 : bytes.size() / 61) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    put(path, damaged);
    EXPECT_THROW(read_model_info(path), Error) << "bit " << at % 8 << " of byte " << at;
  }
}

TEST_F(ModelFile, WhatIsNoModelIsRefusedByName) {
  EXPECT_THAT(error_of([&] { read_model_info(path); }), HasSubstr(path));
  EXPECT_THROW(read_model_info(folder.path().string()), Error);
  write_safetensors(path, {}, {{"format", "pt"}});
  EXPECT_THAT(error_of([&] { read_model_info(path); }), HasSubstr("not a model of kindred"));
}

TEST_F(ModelFile, MissingSurplusAndMisshapenTensorsAreAllNamed) {
  const std::vector<float> values(64, 0.f);
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), 64 * sizeof(float));
  write_safetensors(path,
                    {{"conv_stem.weight", DType::f32, {4, 4, 2, 2}, bytes},
                     {"bn1.weight", DType::i32, {8}, bytes.substr(0, 32)},
                     {"head.fc.weight", DType::f32, {8, 8}, bytes},
                     {"bn1.num_batches_tracked", DType::i64, {1}, bytes.substr(0, 8)}},
                    {});
  const std::string text = error_of([&] { load_weights(path, network.parameters); });
  EXPECT_THAT(text, HasSubstr(path));
  EXPECT_THAT(text, HasSubstr("tensor 'conv_stem.weight' has shape [4,4,2,2], the model needs [8,3,3,3]"));
  EXPECT_THAT(text, HasSubstr("tensor 'bn1.weight' is i32, the model needs f32, bf16, f16 or f64"));
  for (int i = 0; i < network.parameters.count(); ++i) {
    const std::string& name = network.parameters.info({i}).name;
    EXPECT_THAT(text, HasSubstr(name)) << "a list that leaves something out";
  }
  EXPECT_THAT(text, HasSubstr("1 that the model does not have: head.fc.weight"));
}

TEST_F(ModelFile, APartialFitFillsWhatFitsAndNamesTheRest) {
  save_model(path, config, Network(config, 5).parameters);
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<TensorEntry> tensors;
  for (const TensorEntry& tensor : file.tensors())
    if (tensor.name != "bn1.weight") tensors.push_back(tensor);
  tensors.push_back({"extra", DType::u8, {2}, "ab"});
  const std::string partial = folder / "partial.safetensors";
  write_safetensors(partial, tensors, {});
  EXPECT_THROW(load_weights(partial, network.parameters), Error);
  EXPECT_THROW(load_backbone_weights(partial, config, network.parameters), Error);
  const auto value = [&](const char* name) {
    return network.parameters.to_file_layout(network.parameters.find(name));
  };
  const std::vector<float> before = value("bn1.weight"), stem = value("conv_stem.weight");
  const char* const differences = "1 missing: bn1.weight; 1 that the model does not have: extra";
  EXPECT_EQ(load_weights(partial, network.parameters, Fit::partial).differences, differences);
  EXPECT_EQ(value("bn1.weight"), before);
  EXPECT_NE(value("conv_stem.weight"), stem);
  EXPECT_EQ(load_backbone_weights(partial, config, network.parameters, Fit::partial).differences,
            differences);
}

TEST_F(ModelFile, EvenAPartialFitNeedsATensorThatFits) {
  write_safetensors(path, {{"extra", DType::u8, {2}, "ab"}}, {});
  EXPECT_THAT(error_of([&] { load_weights(path, network.parameters, Fit::partial); }),
              HasSubstr("no tensor fits the network"));
}

TEST_F(ModelFile, StoresHalvesAndReadsThem) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const std::string id = save_model(path, config, network.parameters, {}, dtype);
    EXPECT_EQ(read_model_info(path).model_id, id);
    Network other(config, 2);
    load_weights(path, other.parameters);
    const std::vector<float> want = network.parameters.to_file_layout({0});
    const std::vector<float> got = other.parameters.to_file_layout({0});
    EXPECT_EQ(from_f32(got, dtype), from_f32(want, dtype));
    EXPECT_NE(got, want);
  }
}

TEST_F(ModelFile, ARefusedFileChangesNoValue) {
  ModelConfig other = config;
  other.embedding = 16;
  save_model(path, other, Network(other, 5).parameters);
  const std::vector<float> before = network.parameters.to_file_layout({0});
  EXPECT_THROW(load_weights(path, network.parameters), Error);
  EXPECT_EQ(network.parameters.to_file_layout({0}), before);
}

TEST_F(ModelFile, AnotherHeadStartsFromTheBackbone) {
  ModelConfig classifier = config;
  classifier.embedding = 0, classifier.bnneck = false, classifier.classes = 5;
  const Network trained(classifier, 9);
  save_model(path, classifier, trained.parameters);
  const std::vector<float> neck =
      network.parameters.to_file_layout(network.parameters.find("neck.fc.weight"));
  EXPECT_THAT(load_backbone_weights(path, config, network.parameters).fresh,
              ElementsAre("neck.fc.weight", "neck.bn.weight", "neck.bn.bias", "neck.bn.running_mean",
                          "neck.bn.running_var"));
  const auto value = [](const ParameterSet& set, const char* name) {
    return set.to_file_layout(set.find(name));
  };
  EXPECT_EQ(value(network.parameters, "conv_stem.weight"), value(trained.parameters, "conv_stem.weight"));
  EXPECT_EQ(value(network.parameters, "neck.fc.weight"), neck);
}

TEST_F(ModelFile, AnotherBackboneIsNoStart) {
  ModelConfig other = config;
  other.arch = "pplcnet_x0_5";
  save_model(path, other, Network(other).parameters);
  EXPECT_THAT(
      error_of([&] { load_backbone_weights(path, config, network.parameters); }),
      HasSubstr("tensor 'blocks.0.0.conv_pw.weight' has shape [16,8,1,1], the model needs [8,8,1,1]"));
}

}  // namespace
}  // namespace kindred
