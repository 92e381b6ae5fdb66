// Whole networks against outputs of timm's, recorded in float64 (timm_outputs.json), in the form of training
// (batch norms apart, running statistics) and in the fused form of inference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/base/json.h"
#include "common/engine/program.h"
#include "common/io/file.h"
#include "common/models/model.h"
#include "common/ops/window_attention.h"
#include "tests/golden/hash_fill.h"

namespace kindred {
namespace {

constexpr double kTolerance = 1e-4;  // fp32 against float64, over up to a hundred layers

struct Statistics {
  double mean = 0, absmean = 0, std = 0;
};

Statistics statistics_of(const Tensor& tensor) {
  Statistics s;
  const auto n = static_cast<double>(tensor.elements());
  for (int64_t i = 0; i < tensor.elements(); ++i)
    s.mean += tensor.f32()[i] / n, s.absmean += std::abs(tensor.f32()[i]) / n;
  for (int64_t i = 0; i < tensor.elements(); ++i) s.std += std::pow(tensor.f32()[i] - s.mean, 2) / (n - 1);
  s.std = std::sqrt(s.std);
  return s;
}

const Json& records() {
  static const Json file =
      parse_json(read_file(KINDRED_SOURCE_DIR "/tests/golden/timm_outputs.json"), "timm_outputs.json");
  return file["records"];
}

ModelConfig config_of(const Json& record) {
  ModelConfig config;
  config.arch = canonical_arch(record["arch"].get<std::string>());
  config.classes = 1000;
  config.image = find_backbone(config.arch).image;
  config.image.height = config.image.width = record["size"];
  const bool zero = record["pool"] == "zero";
  config.backbone.stem_pool = zero ? BackboneOptions::StemPool::zero : BackboneOptions::StemPool::inf;
  return config;
}

/// The last map: what the last pool reads.
Value map_of(const Graph& graph) {
  Value map;
  for (const Node& node : graph.nodes()) {
    if (node.op && node.op->type() == "global_average_pool") map = node.inputs[0];
  }
  return map;
}

/// Shifts the second block's window of Swin's last stage, although it is the only one.
void shift_last_stage(Graph& graph) {
  int blocks = 0;
  for (Node& node : graph.nodes()) {
    const auto* attention = dynamic_cast<const WindowAttention*>(node.op.get());
    if (attention == nullptr || node.name != "layers.3.blocks.1.attn") continue;
    auto shifted = std::make_shared<WindowAttention>(*attention);
    EXPECT_EQ(shifted->shift_h, 0);
    shifted->shift_h = shifted->window_h / 2, shifted->shift_w = shifted->window_w / 2;
    node.op = std::move(shifted);
    ++blocks;
  }
  EXPECT_EQ(blocks, 1);
}

/// A network with the weights and the input of the records.
struct GoldenNetwork {
  std::unique_ptr<Stream> stream = make_stream({});
  ParameterSet parameters;
  std::unique_ptr<Program> program;

  GoldenNetwork(const ModelConfig& config, int64_t batch) {
    build_model(parameters, config, batch);
    parameters.freeze(*stream);
    test::hash_fill(parameters);
  }
  void run(Graph graph, bool fused, DType compute = DType::f32) {
    program = std::make_unique<Program>(std::move(graph), *stream,
                                        CompileOptions{.fuse = fused, .compute = compute});
    test::hash_fill_input(program->input("image"));
    program->forward();
    stream->wait();
  }
};

void expect_record(const Json& record, const Program& program) {
  const Tensor logits = program.output("logits");
  const double scale = record["logits_absmean"];
  for (int image = 0; image < 2; ++image) {
    for (int i = 0; i < 6; ++i) {
      const double want = record["logits"][static_cast<size_t>(image)][static_cast<size_t>(i)];
      EXPECT_NEAR(logits.f32()[image * 1000 + i], want, kTolerance * std::max(std::abs(want), scale))
          << "logit " << i << " of image " << image;
    }
  }
  EXPECT_NEAR(statistics_of(logits).absmean, scale, kTolerance * scale);
  const Statistics features = statistics_of(program.output("features")),
                   map = statistics_of(program.output("map"));
  const double features_std = record["features_std"], map_std = record["map_std"];
  EXPECT_EQ(program.output("features").shape(), (Shape{2, record["features_width"].get<int64_t>()}));
  EXPECT_NEAR(features.mean, record["features_mean"], kTolerance * features_std);
  EXPECT_NEAR(features.std, features_std, kTolerance * features_std);
  EXPECT_NEAR(map.mean, record["map_mean"], kTolerance * map_std);
  EXPECT_NEAR(map.absmean, record["map_absmean"], kTolerance * map_std);
  EXPECT_NEAR(map.std, map_std, kTolerance * map_std);
  const auto map_shape = record["map_shape"].get<std::vector<int64_t>>();  // [N,C,H,W], or [N,H,W,C] for Swin
  EXPECT_EQ(program.output("map").elements(), Shape(map_shape).elements());
}

std::string record_name(const testing::TestParamInfo<size_t>& info) {
  const Json& record = records()[info.param];
  return concat(record["arch"].get<std::string>(), "_", record["size"].get<int>(), "_",
                record["pool"].get<std::string>(), record.contains("shift") ? "_shift_always" : "");
}

class Golden : public testing::TestWithParam<size_t> {};

TEST_P(Golden, TrainingFormAndFusedFormGiveTimmsOutputs) {
  const Json& record = records()[GetParam()];
  const ModelConfig config = config_of(record);
  GoldenNetwork network(config, 2);
  for (const bool fused : {false, true}) {
    SCOPED_TRACE(fused ? "fused" : "training form");
    Graph graph = build_model(network.parameters, config, 2);
    graph.output("map", map_of(graph));
    if (record.contains("shift")) shift_last_stage(graph);
    const size_t nodes = graph.nodes().size();
    network.run(std::move(graph), fused);
    const bool has_batch_norms = config.arch.find("swin") == std::string::npos;
    EXPECT_EQ(network.program->graph().nodes().size() < nodes, fused && has_batch_norms);
    expect_record(record, *network.program);
  }
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.f32(), tensor.f32() + tensor.elements()};
}

/// The smallest cosine between two rows of the same image; each holds `images` rows.
double least_cosine(const std::vector<float>& a, const std::vector<float>& b, size_t images) {
  double least = 1;
  for (size_t image = 0; image < images; ++image) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = image * a.size() / images; i < (image + 1) * a.size() / images; ++i) {
      const double x = a[i], y = b[i];
      ab += x * y, aa += x * x, bb += y * y;
    }
    least = std::min(least, ab / std::sqrt(aa * bb));
  }
  return least;
}

TEST_P(Golden, Bf16GivesNearlyTheSameFeaturesAndLogits) {
  const ModelConfig config = config_of(records()[GetParam()]);
  GoldenNetwork network(config, 2);
  network.run(build_model(network.parameters, config, 2), true);
  const std::vector<float> features = values_of(network.program->output("features")),
                           logits = values_of(network.program->output("logits"));
  network.run(build_model(network.parameters, config, 2), true, DType::bf16);
  // Measured: 1 - 3e-5 at worst (Swin), 1 - 1e-5 for convolutions.
  EXPECT_GT(least_cosine(values_of(network.program->output("features")), features, 2), 0.9999);
  EXPECT_GT(least_cosine(values_of(network.program->output("logits")), logits, 2), 0.9999);
}

INSTANTIATE_TEST_SUITE_P(Timm, Golden, testing::Range<size_t>(0, records().size()), record_name);

/// The stem's pooled map, with the weights of the records.
Tensor stem_pool(BackboneOptions::StemPool pool) {
  ModelConfig config;
  config.classes = 10;
  config.image.height = 34, config.image.width = 38;
  config.backbone.stem_pool = pool;
  GoldenNetwork network(config, 2);
  Graph graph = build_model(network.parameters, config, 2);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (node.op && node.op->type() == "max_pool") graph.output("pool", Value{static_cast<int>(i)});
  }
  network.run(std::move(graph), true);
  const Tensor live = network.program->output("pool"), copy(live.shape());
  std::copy_n(live.f32(), live.elements(), copy.f32());
  return copy;
}

// The logits move by a millionth only, too little for the records to tell the two paddings apart.
TEST(StemPool, PaddingsDifferInTheLastRowAndColumnOnly) {
  const Tensor inf = stem_pool(BackboneOptions::StemPool::inf),
               zero = stem_pool(BackboneOptions::StemPool::zero);
  const int64_t H = inf.shape()[1], W = inf.shape()[2], C = inf.shape()[3];
  int64_t different = 0;
  for (int64_t i = 0; i < inf.elements(); ++i) {
    const bool border = i / (W * C) % H == H - 1 || i / C % W == W - 1;
    if (border) {
      EXPECT_EQ(zero.f32()[i], std::max(inf.f32()[i], 0.f));
      different += zero.f32()[i] != inf.f32()[i];
    } else {
      EXPECT_EQ(zero.f32()[i], inf.f32()[i]);
    }
  }
  EXPECT_GT(different, 0);  // learnable affine blocks make negative values
}

}  // namespace
}  // namespace kindred
