// ONNX files, read back field by field (numbers of fields: onnx/onnx.proto). That they compute what the
// network computes is checked by scripts/parity.py in ONNX Runtime.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "common/engine/op.h"
#include "common/models/model.h"
#include "common/models/onnx/export.h"
#include "common/models/onnx/lowering.h"
#include "tests/common/models/onnx/proto_reader.h"

namespace kindred {
namespace {

using test::Proto;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSubsetOf;
using testing::Not;

/// The numbers of fields that are read here.
enum : int { kModelGraph = 7, kModelOpset = 8, kModelMetadata = 14 };
enum : int { kGraphNode = 1, kGraphConstant = 5, kGraphInput = 11, kGraphOutput = 12 };
enum : int { kNodeInput = 1, kNodeOutput = 2, kNodeType = 4, kNodeAttribute = 5 };
enum : int { kTensorDims = 1, kTensorType = 2, kTensorName = 8, kTensorBytes = 9 };

struct Network {
  ModelConfig config;
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;

  Network(const std::string& arch, int classes, int embedding, int size) {
    config.arch = arch, config.classes = classes, config.embedding = embedding;
    config.image.height = config.image.width = size;
    build_model(parameters, config, 1);
    parameters.freeze(*stream);
  }
  Proto exported(const std::string& output, bool unit_rows) {
    bytes = onnx_model(config, parameters, output, unit_rows, {{"note", "spring"}});
    return Proto(bytes);
  }
  std::string bytes;  // which a Proto looks into
};

std::set<std::string> node_types(const Proto& graph) {
  std::set<std::string> types;
  for (const Proto& node : graph.messages(kGraphNode)) types.insert(node.text(kNodeType));
  return types;
}

Proto constant_named(const Proto& graph, const std::string& name) {
  for (const Proto& constant : graph.messages(kGraphConstant))
    if (constant.text(kTensorName) == name) return constant;
  fail("no constant '", name, "'");
}

/// [batch by name, numbers ...] of an input or output.
std::vector<std::string> port_dims(const Proto& port) {
  std::vector<std::string> dims;
  for (const Proto& dim : port.message(2).message(1).message(2).messages(1))
    dims.push_back(dim.all(2).empty() ? concat(dim.one(1).value) : dim.text(2));
  return dims;
}

/// Every name is made once, before it is read, and every constant is read.
void expect_well_formed(const Proto& graph) {
  std::set<std::string> made, read;
  for (const Proto& port : graph.messages(kGraphInput)) made.insert(port.text(1));
  for (const Proto& constant : graph.messages(kGraphConstant)) {
    EXPECT_TRUE(made.insert(constant.text(kTensorName)).second) << constant.text(kTensorName);
    int64_t elements = 1;
    for (const int64_t dim : constant.numbers(kTensorDims)) elements *= dim;
    const auto type = constant.one(kTensorType).value;
    const int64_t width = type == 1 ? 4 : type == 7 ? 8 : 1;
    EXPECT_EQ(static_cast<int64_t>(constant.one(kTensorBytes).bytes.size()), elements * width);
  }
  for (const Proto& node : graph.messages(kGraphNode)) {
    for (const std::string& input : node.texts(kNodeInput)) {
      EXPECT_TRUE(made.count(input) == 1) << node.text(kNodeType) << " reads '" << input << "' too early";
      read.insert(input);
    }
    for (const std::string& output : node.texts(kNodeOutput))
      EXPECT_TRUE(made.insert(output).second) << "'" << output << "' is made twice";
  }
  for (const Proto& port : graph.messages(kGraphOutput)) EXPECT_EQ(made.count(port.text(1)), 1u);
  for (const Proto& constant : graph.messages(kGraphConstant))
    EXPECT_EQ(read.count(constant.text(kTensorName)), 1u) << constant.text(kTensorName) << " is never read";
}

TEST(Onnx, EveryOpHasALowering) {
  // Kernels beside an op's own, and what only programs that compute in bf16 hold.
  const std::set<std::string> no_ops{"cast", "depthwise_conv2d_plain", "window_attention/reference"};
  for (const std::string& kernel : kernel_registry().names()) {
    const std::string op = kernel.substr(kernel.find('/') + 1);
    EXPECT_NE(lowering_registry().contains(op), no_ops.count(op) == 1) << op;
  }
}

class OnnxFamily : public testing::TestWithParam<const char*> {};

TEST_P(OnnxFamily, MakesAWellFormedGraphOfEveryForm) {
  Network classifier(GetParam(), 5, 0, 64), embedder(GetParam(), 0, 8, 75);
  expect_well_formed(classifier.exported("logits", false).message(kModelGraph));
  expect_well_formed(embedder.exported("embedding", true).message(kModelGraph));
}

std::string family_name(const testing::TestParamInfo<const char*>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Smallest, OnnxFamily,
                         testing::Values("pplcnet_x0_25", "pplcnetv2_small", "pplcnetv3_x0_5", "pphgnet_tiny",
                                         "pphgnetv2_b0", "swin_tiny_224"),
                         family_name);

TEST(Onnx, TheHeaderNamesVersionsAndPreprocessing) {
  Network network("pplcnet_x0_25", 5, 0, 64);
  const Proto model = network.exported("logits", false);
  EXPECT_EQ(model.one(1).value, 8u);
  EXPECT_EQ(model.text(2), "kindred");
  EXPECT_EQ(model.message(kModelOpset).one(2).value, 17u);
  std::map<std::string, std::string> metadata;
  for (const Proto& entry : model.messages(kModelMetadata)) metadata[entry.text(1)] = entry.text(2);
  EXPECT_EQ(metadata.at("note"), "spring");
  EXPECT_EQ(ImageSpec::from_json(parse_json(metadata.at("kindred.preprocessing"), "m"), "m"),
            network.config.image);
}

TEST(Onnx, TheBatchIsOpen) {
  Network network("pplcnet_x0_25", 5, 0, 64);
  const Proto model = network.exported("logits", false), graph = model.message(kModelGraph);
  EXPECT_EQ(graph.message(kGraphInput).text(1), "image");
  EXPECT_THAT(port_dims(graph.message(kGraphInput)), ElementsAre("batch", "3", "64", "64"));
  EXPECT_EQ(graph.message(kGraphOutput).text(1), "logits");
  EXPECT_THAT(port_dims(graph.message(kGraphOutput)), ElementsAre("batch", "5"));
}

TEST(Onnx, NoBatchNormIsLeftOfAConvolutionalNetwork) {
  Network network("pplcnet_x0_25", 5, 0, 64);
  const Proto model = network.exported("logits", false);
  EXPECT_THAT(node_types(model.message(kModelGraph)),
              IsSubsetOf({"Conv", "HardSwish", "ReduceMean", "Gemm", "Relu", "HardSigmoid", "Reshape", "Mul",
                          "Identity"}));
}

TEST(Onnx, FoldsTheBatchNormIntoTheWeights) {
  Network network("pplcnet_x0_25", 5, 0, 64);
  const auto set = [&](const char* name, float value) {
    const Param param = network.parameters.find(name);
    const auto count = static_cast<size_t>(network.parameters.info(param).file_shape.elements());
    network.parameters.set_from_file_layout(param, std::vector<float>(count, value));
  };
  set("conv_stem.weight", 3), set("bn1.weight", 2), set("bn1.bias", 7), set("bn1.running_mean", 5);
  set("bn1.running_var", 4);
  const Proto model = network.exported("logits", false), graph = model.message(kModelGraph);
  const float scale = 2 / std::sqrt(4 + 1e-5f);
  const auto first = [&](const char* name) {
    const std::string raw = constant_named(graph, name).text(kTensorBytes);
    float value = 0;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  };
  EXPECT_FLOAT_EQ(first("conv_stem.weight"), 3 * scale);
  EXPECT_FLOAT_EQ(first("conv_stem.bias"), 7 - 5 * scale);
  EXPECT_THAT(constant_named(graph, "conv_stem.weight").numbers(kTensorDims), ElementsAre(8, 3, 3, 3));
}

TEST(Onnx, EndsInAnL2NormOnlyWhenAsked) {
  Network embedder("pplcnet_x0_25", 0, 8, 64), classifier("pplcnet_x0_25", 5, 0, 64);
  const auto types = [](Network& network, const char* output, bool unit_rows) {
    return node_types(network.exported(output, unit_rows).message(kModelGraph));
  };
  EXPECT_THAT(types(embedder, "embedding", true), Contains("ReduceL2"));
  EXPECT_THAT(types(embedder, "embedding", false), Not(Contains("ReduceL2")));
  EXPECT_THAT(types(classifier, "features", true), Contains("ReduceL2"));
  EXPECT_THAT(types(classifier, "features", false), Not(Contains("ReduceL2")));
}

TEST(Onnx, EqualConstantsAreStoredOnce) {
  OnnxGraph graph;
  const std::vector<float> values{1, 2}, others{1, 3};
  EXPECT_EQ(graph.constant("a", {2}, values), "a");
  EXPECT_EQ(graph.constant("b", {2}, values), "a");
  EXPECT_NE(graph.constant("a", {2}, others), "a");
  EXPECT_NE(graph.constant("c", {1, 2}, values), "a");
}

TEST(Onnx, AnUnknownOutputIsRefused) {
  Network network("pplcnet_x0_25", 5, 0, 64);
  EXPECT_THROW(network.exported("embedding", true), Error);
}

TEST(Protobuf, NumbersAndTextsComeBack) {
  ProtoMessage inner, outer;
  inner.number(1, 300);
  inner.number(2, -1);
  inner.real(3, 0.5f);
  outer.message(15, inner);
  outer.text(16, std::string(200, 'x'));
  const Proto read(outer.bytes());
  EXPECT_EQ(read.message(15).one(1).value, 300u);
  EXPECT_EQ(static_cast<int64_t>(read.message(15).one(2).value), -1);
  EXPECT_EQ(read.message(15).one(3).value, 0x3f000000u);
  EXPECT_EQ(read.text(16), std::string(200, 'x'));
}

TEST(Protobuf, WritesTheBytesOfTheSpecification) {
  ProtoMessage message;
  message.number(1, 150);
  message.text(2, "testing");
  EXPECT_EQ(message.bytes(), "\x08\x96\x01\x12\x07testing");  // the documentation's own example
}

}  // namespace
}  // namespace kindred
