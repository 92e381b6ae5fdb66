// Stochastic gradient descent with momentum. With g' = g + decay * w (coupled decay, as in PyTorch):
//   v = momentum * v + g',  w -= rate * v;   Nesterov: w -= rate * (g' + momentum * v).
// Decoupled: w -= rate * decay * w instead of the term in g'.
// Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum", ICML 2013.
#include "common/engine/launch.h"
#include "trainer/optim/flat_update.h"

namespace kindred {
namespace {

struct SgdRule {
  float momentum, decay;
  bool nesterov, decoupled;

  KINDRED_DEV void operator()(const SlottedUpdate<1>::Place& place) const {
    const float pull = decay * place.decay, weight = *place.value;
    const float gradient = place.gradient + (decoupled ? 0 : pull * weight);
    const float v = momentum * *place.slot[0] + gradient;
    *place.slot[0] = v;
    const float direction = nesterov ? gradient + momentum * v : v;
    *place.value = weight - place.rate * (direction + (decoupled ? pull * weight : 0));
  }
};

class Sgd : public Optimizer {
 public:
  static void declare(Options& options) {
    options.add("sgd.momentum", 0.9, "share of the last step's velocity that is kept, in [0, 1)");
    options.add("sgd.nesterov", false, "look ahead along the velocity");
    options.add("sgd.weight_decay", 1e-4, "pulls weights (not norms and biases) to zero");
    declare_decay_rule(options, "sgd");
    options.add("sgd.decoupled", false,
                "apply the decay to the weights and not through gradient and velocity");
  }

  Sgd(const Options& options, ParameterSet& parameters, Stream& stream)
      : rule_{static_cast<float>(options.get<double>("sgd.momentum")),
              static_cast<float>(options.get<double>("sgd.weight_decay")), options.get<bool>("sgd.nesterov"),
              options.get<bool>("sgd.decoupled")},
        update_(parameters, stream, decay_rule(options, "sgd"), {"velocity"}) {
    require_option(options, "sgd.momentum", rule_.momentum >= 0 && rule_.momentum < 1, "in [0, 1)");
    require_option(options, "sgd.weight_decay", rule_.decay >= 0, "at least 0");
  }

  void step(Stream& stream, double learning_rate, double gradient_scale) override {
    update_.step(stream, learning_rate, gradient_scale, [this](double) { return rule_; });
  }

  std::vector<std::pair<std::string, Tensor>> slots() override { return update_.slots(); }
  std::vector<ShardSlot> shard_slots() override { return update_.shard_slots(); }
  int64_t steps_done() const override { return update_.steps_done(); }
  void set_steps_done(int64_t steps) override { update_.set_steps_done(steps); }

 private:
  const SgdRule rule_;
  SlottedUpdate<1> update_;
};

KINDRED_OPTIMIZER("sgd", Sgd, "momentum, Nesterov; weight decay coupled or decoupled");

}  // namespace
}  // namespace kindred
