// The commands of kindred-model that take weights in and out, called as main() calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/io/file.h"
#include "common/io/float_formats.h"
#include "common/io/npy.h"
#include "common/models/model_file.h"
#include "common/models/tool/tool.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;

constexpr int kClasses = 5, kSize = 32;
constexpr const char *kArch = "pplcnet_x0_25", *kLastBias = "classifier.bias", *kFirst = "conv_stem.weight";

using Command = int (*)(int, const char* const*);

/// Throws what the command throws.
void run(Command command, const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"command"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  EXPECT_EQ(command(static_cast<int>(argv.size()), argv.data()), 0);
}

std::string refusal(Command command, const std::vector<std::string>& arguments) {
  return test::error_of([&] { run(command, arguments); });
}

std::vector<float> values_in(const std::string& path, const char* name) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const TensorEntry* tensor = file.find(name);
  return tensor == nullptr ? std::vector<float>() : to_f32(tensor->bytes, tensor->dtype);
}

class WeightsTool : public testing::Test {
 protected:
  TemporaryFolder folder;
  std::string model = folder / "model.safetensors", weights = folder / "weights.safetensors",
              output = folder / "out.safetensors";

  WeightsTool() {
    run(model_init,
        {"--arch", kArch, "--classes", "5", "--image-size", "32", "--output", model, "--seed", "4"});
    write_weights({});
  }

  /// The model's tensors as a stranger's file, in `dtype` and without `left_out`.
  void write_weights(const std::map<std::string, std::string>& metadata, DType dtype = DType::f32,
                     const std::string& left_out = "") {
    const SafetensorsFile file = SafetensorsFile::open(model);
    std::vector<std::string> bytes;
    std::vector<TensorEntry> tensors;
    bytes.reserve(file.tensors().size());
    for (const TensorEntry& tensor : file.tensors()) {
      if (tensor.name == left_out) continue;
      bytes.push_back(from_f32(to_f32(tensor.bytes, tensor.dtype), dtype));
      tensors.push_back({tensor.name, dtype, tensor.shape, bytes.back()});
    }
    write_safetensors(weights, tensors, metadata);
  }

  std::vector<std::string> import_arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> all{"--weights", weights, "--output", output, "--image-size", "32"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(WeightsTool, ImportMakesTheClassifierThatTheFileHolds) {
  run(model_import, import_arguments({"--arch", kArch}));
  EXPECT_EQ(read_model_info(output).config.classes, kClasses);
  EXPECT_EQ(read_model_info(output).model_id, read_model_info(model).model_id);
}

TEST_F(WeightsTool, ImportWidensHalves) {
  write_weights({}, DType::f16);
  run(model_import, import_arguments({"--arch", kArch}));
  EXPECT_EQ(values_in(output, kFirst), values_in(weights, kFirst));
  EXPECT_NE(values_in(output, kFirst), values_in(model, kFirst));
  EXPECT_EQ(SafetensorsFile::open(output).find(kFirst)->dtype, DType::f32);
}

TEST_F(WeightsTool, ImportKeepsTheBackboneUnderAnotherHead) {
  run(model_import, import_arguments({"--arch", kArch, "--embedding", "8", "--seed", "2"}));
  EXPECT_EQ(read_model_info(output).config.embedding, 8);
  EXPECT_EQ(values_in(output, kFirst), values_in(model, kFirst));
  EXPECT_EQ(values_in(output, "neck.fc.weight").size(), 8u * 128);
  run(model_import, import_arguments({"--arch", kArch, "--classes", "7"}));
  EXPECT_EQ(read_model_info(output).config.classes, 7);
}

TEST_F(WeightsTool, TheArchitectureComesFromTheFileOrTheCommandLine) {
  EXPECT_THAT(refusal(model_import, import_arguments({})), HasSubstr("give --arch"));
  write_weights({{"kindred.arch", kArch}});
  run(model_import, import_arguments({}));
  EXPECT_THAT(refusal(model_import, import_arguments({"--arch", "pplcnet_x0_5"})),
              HasSubstr("the file is of architecture 'pplcnet_x0_25', not 'pplcnet_x0_5'"));
}

TEST_F(WeightsTool, TheStemPoolComesFromTheCommandLineOrTheFile) {
  const auto pool = [&] { return read_model_info(output).config.backbone.stem_pool; };
  write_weights({{"kindred.arch", kArch}, {"kindred.stem_pool", "zero"}});
  run(model_import, import_arguments({}));
  EXPECT_EQ(pool(), BackboneOptions::StemPool::zero);
  run(model_import, import_arguments({"--stem-pool", "inf"}));
  EXPECT_EQ(pool(), BackboneOptions::StemPool::inf);
  write_weights({{"kindred.arch", kArch}, {"kindred.stem_pool", "none"}});
  EXPECT_THAT(refusal(model_import, import_arguments({})), HasSubstr("expected 'inf' or 'zero'"));
}

TEST_F(WeightsTool, WhatDoesNotFitIsAnErrorUnlessItIsAllowed) {
  write_weights({{"kindred.arch", kArch}}, DType::f32, kFirst);
  EXPECT_THAT(refusal(model_import, import_arguments({})), HasSubstr("1 missing: conv_stem.weight"));
  EXPECT_THROW(SafetensorsFile::open(output), Error);
  const std::vector<std::string> reading{"--weights", weights, "--output", output};
  EXPECT_THAT(refusal(model_export, reading), HasSubstr("1 missing: conv_stem.weight"));
  EXPECT_THROW(SafetensorsFile::open(output), Error);
  run(model_import, import_arguments({"--allow-partial"}));
  EXPECT_EQ(values_in(output, "bn1.weight"), values_in(model, "bn1.weight"));
  run(model_export, {"--weights", weights, "--output", output, "--allow-partial"});
  EXPECT_EQ(values_in(output, "bn1.weight"), values_in(model, "bn1.weight"));
}

TEST_F(WeightsTool, ExportStoresThePrecisionAskedFor) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    run(model_export, {"--weights", model, "--output", output, "--dtype", std::string(dtype_text(dtype))});
    EXPECT_EQ(SafetensorsFile::open(output).find(kFirst)->dtype, dtype);
    EXPECT_EQ(read_model_info(output).config.classes, kClasses);
  }
}

TEST_F(WeightsTool, ExportWritesOnnxByTheNameOfTheFile) {
  const std::string onnx = folder / "model.onnx";
  run(model_export, {"--weights", model, "--output", onnx});
  const std::string bytes = read_file(onnx);
  EXPECT_THAT(bytes,
              testing::StartsWith(std::string("\x08\x08\x12\x07kindred", 11)));  // IR version, producer
  EXPECT_THAT(bytes, HasSubstr("kindred.preprocessing"));
  EXPECT_THAT(bytes, HasSubstr(read_model_info(model).model_id));
  EXPECT_THAT(bytes, Not(HasSubstr("ReduceL2")));
  run(model_export, {"--weights", model, "--output", onnx, "--features", "--l2"});
  EXPECT_THAT(read_file(onnx), HasSubstr("ReduceL2"));
}

TEST_F(WeightsTool, ExportRefusesWhatDoesNothing) {
  const std::string onnx = folder / "model.onnx";
  EXPECT_THAT(refusal(model_export, {"--weights", model, "--output", "model.pb"}),
              HasSubstr(".onnx or .safetensors"));
  EXPECT_THAT(refusal(model_export, {"--weights", model, "--output", onnx, "--dtype", "bf16"}),
              HasSubstr("ONNX files are f32"));
  EXPECT_THAT(refusal(model_export, {"--weights", model, "--output", output, "--l2"}),
              HasSubstr("--l2 is for"));
  EXPECT_THAT(refusal(model_export, {"--weights", model, "--output", output, "--dtype", "f64"}),
              HasSubstr("unknown dtype 'f64'"));
  run(model_import, import_arguments({"--arch", kArch, "--embedding", "8"}));
  EXPECT_THAT(refusal(model_export, {"--weights", output, "--output", onnx, "--features"}),
              HasSubstr("makes embeddings"));
}

/// A model, images and a gradient of its logits.
class StepTool : public WeightsTool {
 protected:
  static constexpr int kBatch = 3;
  std::string input = folder / "images.npy", gradient = folder / "gradient.npy";
  Tensor slopes{{kBatch, kClasses}};

  StepTool() {
    Tensor images({kBatch, 3, kSize, kSize});
    for (int64_t i = 0; i < images.elements(); ++i)
      images.f32()[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
    for (int64_t i = 0; i < slopes.elements(); ++i) slopes.f32()[i] = static_cast<float>(i % 4) - 1;
    write_npy(input, images);
    write_npy(gradient, slopes);
  }
  void step(const std::string& rate) {
    run(model_step,
        {"--weights", model, "--input", input, "--gradient", gradient, "--lr", rate, "--output", output});
  }
};

TEST_F(StepTool, MovesTheLastBiasByTheSumOfTheGradient) {
  step("0.5");
  const std::vector<float> before = values_in(model, kLastBias), after = values_in(output, kLastBias);
  for (size_t c = 0; c < kClasses; ++c) {
    float sum = 0;
    for (int n = 0; n < kBatch; ++n) sum += slopes.f32()[n * kClasses + static_cast<int>(c)];
    EXPECT_FLOAT_EQ(after[c], before[c] - 0.5f * sum);
  }
  EXPECT_NE(values_in(output, kFirst), values_in(model, kFirst));
}

TEST_F(StepTool, AStepOfNoLengthMovesOnlyTheStatistics) {
  step("0");
  EXPECT_EQ(values_in(output, kFirst), values_in(model, kFirst));
  EXPECT_NE(values_in(output, "bn1.running_mean"), values_in(model, "bn1.running_mean"));
}

TEST_F(StepTool, AGradientOfAnotherShapeIsRefused) {
  write_npy(gradient, Tensor({kBatch, kClasses + 1}));
  EXPECT_THAT(
      refusal(model_step, {"--weights", model, "--input", input, "--gradient", gradient, "--output", output}),
      HasSubstr("expected a float32 gradient [3,5]; got f32 [3,6]"));
}

}  // namespace
}  // namespace kindred
