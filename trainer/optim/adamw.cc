// AdamW: with g the scaled gradient and t the count of steps,
//   w *= 1 - rate * decay,  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
//   w -= rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
// Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
#include <cmath>

#include "common/engine/launch.h"
#include "trainer/optim/flat_update.h"

namespace kindred {
namespace {

class AdamW : public Optimizer {
 public:
  static void declare(Options& options) {
    options.add("adamw.beta1", 0.9, "share of the old first moment, in [0, 1)");
    options.add("adamw.beta2", 0.999, "share of the old second moment, in [0, 1)");
    options.add("adamw.epsilon", 1e-8, "added to the root of the second moment");
    options.add("adamw.weight_decay", 0.01, "pulls weights (not norms and biases) to zero");
  }

  AdamW(const Options& options, ParameterSet& parameters, Stream& stream)
      : beta1_(options.get<double>("adamw.beta1")),
        beta2_(options.get<double>("adamw.beta2")),
        epsilon_(options.get<double>("adamw.epsilon")),
        decay_(options.get<double>("adamw.weight_decay")),
        flat_(parameters, stream),
        first_(flat_.make_slot(stream)),
        second_(flat_.make_slot(stream)) {
    require_option(options, "adamw.beta1", beta1_ >= 0 && beta1_ < 1, "in [0, 1)");
    require_option(options, "adamw.beta2", beta2_ >= 0 && beta2_ < 1, "in [0, 1)");
    require_option(options, "adamw.epsilon", static_cast<float>(epsilon_) > 0, "more than 0");
    require_option(options, "adamw.weight_decay", decay_ >= 0, "at least 0");
  }

  void step(Stream& stream, double learning_rate, double gradient_scale) override {
    flat_.begin_step(learning_rate, gradient_scale);
    const FlatParameters::View flat = flat_.view();
    float *const first = first_.f32(), *const second = second_.f32();
    const auto steps = static_cast<double>(flat_.steps_done);
    const auto rate = static_cast<float>(learning_rate), scale = static_cast<float>(gradient_scale);
    const auto decay = static_cast<float>(decay_), epsilon = static_cast<float>(epsilon_);
    const auto old1 = static_cast<float>(beta1_), new1 = static_cast<float>(1 - beta1_);
    const auto old2 = static_cast<float>(beta2_), new2 = static_cast<float>(1 - beta2_);
    // Moments start at zero: without these factors the first steps would be too small.
    const auto unbias1 = static_cast<float>(1 / (1 - std::pow(beta1_, steps)));
    const auto unbias2 = static_cast<float>(1 / (1 - std::pow(beta2_, steps)));
    launch_each(stream, flat.elements, [=] KINDRED_DEV(int64_t i) {
      const float* const rule = flat.rules + 2 * flat.rule_of_block[i / FlatParameters::kBlock];
      const float own_rate = rate * rule[0], gradient = flat.gradients[i] * scale;
      const float m = old1 * first[i] + new1 * gradient, v = old2 * second[i] + new2 * gradient * gradient;
      first[i] = m;
      second[i] = v;
      const float weight = flat.values[i] * (1 - own_rate * decay * rule[1]);
      flat.values[i] = weight - own_rate * (m * unbias1) / (sqrtf(v * unbias2) + epsilon);
    });
  }

  std::vector<std::pair<std::string, Tensor>> slots() override {
    return {{"first_moment", first_}, {"second_moment", second_}};
  }
  int64_t steps_done() const override { return flat_.steps_done; }
  void set_steps_done(int64_t steps) override { flat_.steps_done = steps; }

 private:
  const double beta1_, beta2_, epsilon_, decay_;
  FlatParameters flat_;
  Tensor first_, second_;
};

KINDRED_OPTIMIZER("adamw", AdamW, "Adam with decoupled weight decay");

}  // namespace
}  // namespace kindred
