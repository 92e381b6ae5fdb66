// AdamW: with g the scaled gradient and t the count of steps,
//   w *= 1 - rate * decay,  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
//   w -= rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
// Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
#include <cmath>

#include "common/engine/launch.h"
#include "trainer/optim/flat_update.h"

namespace kindred {
namespace {

struct AdamWRule {
  float old1, new1, old2, new2;
  float unbias1, unbias2;  // moments start at zero: without these factors the first steps would be too small
  float epsilon, decay;

  KINDRED_DEV void operator()(const SlottedUpdate<2>::Place& place) const {
    const float gradient = place.gradient;
    const float m = old1 * *place.slot[0] + new1 * gradient;
    const float v = old2 * *place.slot[1] + new2 * gradient * gradient;
    *place.slot[0] = m;
    *place.slot[1] = v;
    const float weight = *place.value * (1 - place.rate * decay * place.decay);
    *place.value = weight - place.rate * (m * unbias1) / (sqrtf(v * unbias2) + epsilon);
  }
};

class AdamW : public Optimizer {
 public:
  static void declare(Options& options) {
    options.add("adamw.beta1", 0.9, "share of the old first moment, in [0, 1)");
    options.add("adamw.beta2", 0.999, "share of the old second moment, in [0, 1)");
    options.add("adamw.epsilon", 1e-8, "added to the root of the second moment");
    options.add("adamw.weight_decay", 0.01, "pulls weights (not norms and biases) to zero");
    declare_decay_rule(options, "adamw");
  }

  AdamW(const Options& options, ParameterSet& parameters, Stream& stream)
      : beta1_(options.get<double>("adamw.beta1")),
        beta2_(options.get<double>("adamw.beta2")),
        epsilon_(options.get<double>("adamw.epsilon")),
        decay_(options.get<double>("adamw.weight_decay")),
        update_(parameters, stream, decay_rule(options, "adamw"), {"first_moment", "second_moment"}) {
    require_option(options, "adamw.beta1", beta1_ >= 0 && beta1_ < 1, "in [0, 1)");
    require_option(options, "adamw.beta2", beta2_ >= 0 && beta2_ < 1, "in [0, 1)");
    require_option(options, "adamw.epsilon", static_cast<float>(epsilon_) > 0, "more than 0");
    require_option(options, "adamw.weight_decay", decay_ >= 0, "at least 0");
  }

  void step(Stream& stream, double learning_rate, double gradient_scale) override {
    update_.step(stream, learning_rate, gradient_scale, [this](double steps) {
      const auto f = [](double value) { return static_cast<float>(value); };
      return AdamWRule{f(beta1_),
                       f(1 - beta1_),
                       f(beta2_),
                       f(1 - beta2_),
                       f(1 / (1 - std::pow(beta1_, steps))),
                       f(1 / (1 - std::pow(beta2_, steps))),
                       f(epsilon_),
                       f(decay_)};
    });
  }

  std::vector<std::pair<std::string, Tensor>> slots() override { return update_.slots(); }
  std::vector<ShardSlot> shard_slots() override { return update_.shard_slots(); }
  int64_t steps_done() const override { return update_.steps_done(); }
  void set_steps_done(int64_t steps) override { update_.set_steps_done(steps); }

 private:
  const double beta1_, beta2_, epsilon_, decay_;
  SlottedUpdate<2> update_;
};

KINDRED_OPTIMIZER("adamw", AdamW, "Adam with decoupled weight decay");

}  // namespace
}  // namespace kindred
