// The embedder: pictures in, unit rows out, however they are grouped.
#include "common/embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/philox.h"
#include "common/engine/program.h"
#include "common/image/preprocess.h"
#include "common/models/model_file.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using test::error_of;

using test::TemporaryFolder;
using testing::HasSubstr;

ModelConfig small_config(const std::string& arch) {
  ModelConfig config;
  config.arch = arch;
  config.embedding = 16;
  config.image.height = 48, config.image.width = 40;
  return config;
}

/// A model file with fresh weights.
struct Model {
  TemporaryFolder folder;
  std::string path = folder / "model.safetensors";
  ModelConfig config;
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  std::string id;

  explicit Model(ModelConfig c) : config(std::move(c)) {
    build_model(parameters, config, 1);
    parameters.freeze(*stream);
    parameters.initialize(3);
    id = save_model(path, config, parameters);
  }
};

std::vector<Image> pictures(int count) {
  std::vector<Image> images;
  Random random(5, {});
  for (int i = 0; i < count; ++i) {
    Image image{.width = 30 + 7 * i, .height = 64 - i, .pixels = {}};
    image.pixels.resize(static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * 3);
    for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.below(256));
    images.push_back(std::move(image));
  }
  return images;
}

std::vector<float> embed(Embedder& embedder, std::span<const Image> images) {
  std::vector<float> rows(images.size() * static_cast<size_t>(embedder.dim()));
  embedder.embed(images, rows.data());
  return rows;
}

class EmbedderOf : public testing::TestWithParam<const char*> {};

TEST_P(EmbedderOf, RowsDoNotDependOnGrouping) {
  const Model model(small_config(GetParam()));
  Embedder embedder = Embedder::open(model.path, {}, 8);
  const std::vector<Image> images = pictures(11);  // 8 at once, then a few, then one by one
  const std::vector<float> together = embed(embedder, images);
  std::vector<float> alone;
  for (const Image& image : images) {
    const std::vector<float> row = embed(embedder, {&image, 1});
    alone.insert(alone.end(), row.begin(), row.end());
  }
  double largest = 0;  // vendor kernels sum in another order for another batch
  for (size_t i = 0; i < alone.size(); ++i)
    largest = std::max<double>(largest, std::abs(together[i] - alone[i]));
  EXPECT_LE(largest, 2e-6);
  EXPECT_EQ(embed(embedder, images), together) << "the same grouping gives other bits";
}

INSTANTIATE_TEST_SUITE_P(Some, EmbedderOf,
                         testing::Values("pplcnet_x0_25", "pphgnetv2_b0", "pphgnet_tiny", "swin_tiny_224"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Embedder, GivesTheUnitRowsOfTheNetwork) {
  const Model model(small_config("pplcnet_x0_25"));
  Embedder embedder = Embedder::open(model.path);
  const std::vector<Image> images = pictures(1);
  const std::vector<float> row = embed(embedder, images);

  ParameterSet parameters;
  build_model(parameters, model.config, 1);
  parameters.freeze(*model.stream);
  load_weights(model.path, parameters);
  Program program(build_model(parameters, model.config, 1), *model.stream, CompileOptions{.fuse = false});
  preprocess(images[0], model.config.image, program.input("image").f32());
  program.forward();
  double length = 0;
  for (int c = 0; c < embedder.dim(); ++c) {
    EXPECT_NEAR(row[static_cast<size_t>(c)], program.output("embedding").f32()[c], 1e-5);
    length += std::pow(row[static_cast<size_t>(c)], 2);
  }
  EXPECT_NEAR(length, 1, 1e-5);
}

TEST(Embedder, GivesNearlyTheSameUnitRowsInBf16) {
  const Model model(small_config("pphgnetv2_b0"));
  Embedder wide = Embedder::open(model.path, {}, 4), narrow = Embedder::open(model.path, {}, 4, DType::bf16);
  const std::vector<Image> images = pictures(3);
  const std::vector<float> a = embed(wide, images), b = embed(narrow, images);
  EXPECT_NE(a, b);
  const auto dim = static_cast<size_t>(wide.dim());
  for (size_t image = 0; image < images.size(); ++image) {
    double cosine = 0, length = 0;
    for (size_t i = image * dim; i < (image + 1) * dim; ++i) {
      cosine += static_cast<double>(a[i]) * b[i];
      length += static_cast<double>(b[i]) * b[i];
    }
    EXPECT_GT(cosine, 0.999) << "picture " << image;
    EXPECT_NEAR(length, 1, 1e-5);
  }
}

TEST(Embedder, KnowsWhatTheFileSays) {
  const Model model(small_config("pplcnet_x0_25"));
  const Embedder embedder = Embedder::open(model.path, {}, 1);
  EXPECT_EQ(embedder.dim(), 16);
  EXPECT_EQ(embedder.model_id(), model.id);
  EXPECT_EQ(embedder.image_spec(), model.config.image);
  EXPECT_EQ(embedder.config().to_json(), model.config.to_json());
}

TEST(Embedder, EmbedsNothingFromNothing) {
  const Model model(small_config("pplcnet_x0_25"));
  Embedder embedder = Embedder::open(model.path, {}, 4);
  EXPECT_TRUE(embed(embedder, {}).empty());
}

TEST(Embedder, RefusesClassifiersAndMissingFiles) {
  ModelConfig config = small_config("pplcnet_x0_25");
  config.embedding = 0, config.classes = 7;
  const Model model(config);
  EXPECT_THAT(error_of([&] { Embedder::open(model.path); }), HasSubstr("a classifier of 7 classes"));
  EXPECT_THAT(error_of([&] { Embedder::open(model.folder / "none.safetensors"); }),
              HasSubstr("none.safetensors"));
  EXPECT_THROW(Embedder::open(model.folder.path().string()), Error);
}

TEST(Embedder, RefusesEmptyPictures) {
  const Model model(small_config("pplcnet_x0_25"));
  Embedder embedder = Embedder::open(model.path, {}, 1);
  const std::vector<Image> images(1);
  EXPECT_THAT(error_of([&] { embed(embedder, images); }), HasSubstr("0x0"));
}

TEST(Embedder, ReportsWeightsThatGiveNoNumbers) {
  Model model(small_config("pplcnet_x0_25"));
  model.parameters.value(model.parameters.find("neck.fc.bias")).f32()[0] =
      std::numeric_limits<float>::quiet_NaN();
  save_model(model.path, model.config, model.parameters);
  Embedder embedder = Embedder::open(model.path, {}, 1);
  EXPECT_THAT(error_of([&] { embed(embedder, pictures(1)); }), HasSubstr("not finite"));
}

}  // namespace
}  // namespace kindred
