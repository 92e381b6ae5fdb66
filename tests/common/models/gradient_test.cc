// The gradients of whole networks in training: along the gradient of each kind of parameter the loss rises as
// steeply as the gradient is long. One network of each family, so that every kind of block is in one.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "common/base/philox.h"
#include "common/engine/program.h"
#include "common/models/model.h"
#include "tests/golden/hash_fill.h"

namespace kindred {
namespace {

/// "stages.2.blocks.0.layers.1.conv.weight" -> "stages.#.blocks.#.layers.#.conv.weight"
std::string kind_of(std::string name) {
  std::string kind;
  for (const char c : name) {
    if (c < '0' || c > '9') {
      kind += c;
    } else if (kind.empty() || kind.back() != '#') {
      kind += '#';
    }
  }
  return kind;
}

struct Case {
  const char* arch;
  const char* part;  // of the names of the parameters that are checked
};

class Gradients : public testing::TestWithParam<Case> {
 protected:
  static constexpr int kBatch = 2, kClasses = 6;
  static constexpr double kTolerance = 0.08;

  void SetUp() override {
    config_.arch = GetParam().arch;
    config_.classes = kClasses;
    config_.image.height = 64, config_.image.width = 96;
    build_model(parameters_, config_, kBatch);
    parameters_.freeze(*stream_);
    test::hash_fill(parameters_);
    program_ = std::make_unique<Program>(build_model(parameters_, config_, kBatch), *stream_,
                                         CompileOptions{.training = true});
    test::hash_fill_input(program_->input("image"));
    Random random(4, {});
    for (float& weight : weights_) weight = static_cast<float>(random.uniform(-1, 1));
  }

  /// A weighted sum of the logits.
  double loss() {
    program_->forward();
    const Tensor logits = program_->output("logits");
    double sum = 0;
    for (size_t i = 0; i < weights_.size(); ++i) sum += double{weights_[i]} * logits.f32()[i];
    return sum;
  }

  void backward() {
    loss();
    const Tensor output = program_->output("logits");
    for (size_t i = 0; i < weights_.size(); ++i)
      magnitude_ += std::abs(double{weights_[i]} * output.f32()[i]);
    const Tensor gradient = program_->output_gradient("logits");
    std::copy(weights_.begin(), weights_.end(), gradient.f32());
    program_->backward();
  }

  static double length(const Tensor& tensor) {
    double sum = 0;
    for (int64_t i = 0; i < tensor.elements(); ++i) sum += std::pow(double{tensor.f32()[i]}, 2);
    return std::sqrt(sum);
  }

  /// The loss with the parameter `step` further along its gradient, whose length is known.
  double loss_at(Param param, double step, double gradient_length) {
    const Tensor value = parameters_.value(param), gradient = parameters_.gradient(param);
    const std::vector<float> before(value.f32(), value.f32() + value.elements());
    for (int64_t i = 0; i < value.elements(); ++i)
      value.f32()[i] += static_cast<float>(step * gradient.f32()[i] / gradient_length);
    parameters_.touch();
    const double result = loss();
    std::copy(before.begin(), before.end(), value.f32());
    parameters_.touch();
    return result;
  }

  /// The last parameter of each kind, by kind.
  std::map<std::string, Param> chosen() const {
    std::map<std::string, Param> by_kind;
    for (int i = 0; i < parameters_.count(); ++i) {
      const ParamInfo& info = parameters_.info({i});
      if (info.trainable && info.name.find(GetParam().part) != std::string::npos)
        by_kind[kind_of(info.name)] = {i};
    }
    return by_kind;
  }

  ModelConfig config_;
  std::unique_ptr<Stream> stream_ = make_stream({});
  ParameterSet parameters_;
  std::unique_ptr<Program> program_;
  std::array<float, size_t{kBatch} * kClasses> weights_{};
  double magnitude_ = 0;  // of the loss's terms
};

TEST_P(Gradients, AreAsSteepAsTheLossRises) {
  backward();
  double steepest = 0;
  for (const auto& [kind, param] : chosen())
    steepest = std::max(steepest, length(parameters_.gradient(param)));
  int checked = 0;
  for (const auto& [kind, param] : chosen()) {
    const double steepness = length(parameters_.gradient(param));
    // What the next batch norm takes away again (shifts, common factors) would have to move too far to be
    // seen.
    // The shifts of affine blocks are only seen at the borders, where convolutions pad.
    const double reach = 1e-3 * magnitude_ / steepness;
    if (parameters_.info(param).name.ends_with("lab.bias")) continue;
    if (steepness < 2e-3 * steepest || reach > 0.02 * length(parameters_.value(param))) continue;
    ++checked;
    // Units that cross their kink spoil long steps and rounding spoils short ones; a wrong gradient fails
    // all.
    double nearest = 0;
    for (const double change : {5e-3, 1e-3, 1e-4, 2e-2}) {
      const double step = change * magnitude_ / steepness;
      const double rise = (loss_at(param, step, steepness) - loss_at(param, -step, steepness)) / (2 * step);
      if (std::abs(rise / steepness - 1) < std::abs(nearest - 1)) nearest = rise / steepness;
      if (std::abs(nearest - 1) < kTolerance) break;
    }
    EXPECT_NEAR(nearest, 1, kTolerance) << parameters_.info(param).name;
  }
  EXPECT_GE(checked, 4) << "kinds of parameters";
}

std::string gradients_name(const testing::TestParamInfo<Case>& info) { return info.param.arch; }

INSTANTIATE_TEST_SUITE_P(Networks, Gradients,
                         testing::Values(Case{"pplcnet_x0_25", ""}, Case{"pplcnetv2_small", ""},
                                         Case{"pplcnetv3_x0_5", ""}, Case{"pphgnet_tiny", "aggregation"},
                                         Case{"pphgnetv2_b0", ""}, Case{"swin_tiny_224", ""}),
                         gradients_name);

}  // namespace
}  // namespace kindred
