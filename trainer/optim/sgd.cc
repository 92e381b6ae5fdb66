// Stochastic gradient descent with momentum. With g' = g + decay * w (coupled decay, as in PyTorch):
//   v = momentum * v + g',  w -= rate * v;   Nesterov: w -= rate * (g' + momentum * v).
// Decoupled: w -= rate * decay * w instead of the term in g'.
// Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum", ICML 2013.
#include "common/engine/launch.h"
#include "trainer/optim/flat_update.h"

namespace kindred {
namespace {

class Sgd : public Optimizer {
 public:
  static void declare(Options& options) {
    options.add("sgd.momentum", 0.9, "share of the last step's velocity that is kept, in [0, 1)");
    options.add("sgd.nesterov", false, "look ahead along the velocity");
    options.add("sgd.weight_decay", 1e-4, "pulls weights (not norms and biases) to zero");
    options.add("sgd.decoupled", false,
                "apply the decay to the weights and not through gradient and velocity");
  }

  Sgd(const Options& options, ParameterSet& parameters, Stream& stream)
      : momentum_(options.get<double>("sgd.momentum")),
        decay_(options.get<double>("sgd.weight_decay")),
        nesterov_(options.get<bool>("sgd.nesterov")),
        decoupled_(options.get<bool>("sgd.decoupled")),
        flat_(parameters, stream),
        velocity_(flat_.make_slot(stream)) {
    require_option(options, "sgd.momentum", momentum_ >= 0 && momentum_ < 1, "in [0, 1)");
    require_option(options, "sgd.weight_decay", decay_ >= 0, "at least 0");
  }

  void step(Stream& stream, double learning_rate, double gradient_scale) override {
    flat_.begin_step(learning_rate, gradient_scale);
    const FlatParameters::View flat = flat_.view();
    float* const velocity = velocity_.f32();
    const auto rate = static_cast<float>(learning_rate), scale = static_cast<float>(gradient_scale);
    const auto momentum = static_cast<float>(momentum_), decay = static_cast<float>(decay_);
    const bool nesterov = nesterov_, decoupled = decoupled_;
    launch_each(stream, flat.elements, [=] KINDRED_DEV(int64_t i) {
      const float* const rule = flat.rules + 2 * flat.rule_of_block[i / FlatParameters::kBlock];
      const float own_rate = rate * rule[0], pull = decay * rule[1], weight = flat.values[i];
      const float gradient = flat.gradients[i] * scale + (decoupled ? 0 : pull * weight);
      const float v = momentum * velocity[i] + gradient;
      velocity[i] = v;
      const float direction = nesterov ? gradient + momentum * v : v;
      flat.values[i] = weight - own_rate * (direction + (decoupled ? pull * weight : 0));
    });
  }

  std::vector<std::pair<std::string, Tensor>> slots() override { return {{"velocity", velocity_}}; }
  int64_t steps_done() const override { return flat_.steps_done; }
  void set_steps_done(int64_t steps) override { flat_.steps_done = steps; }

 private:
  const double momentum_, decay_;
  const bool nesterov_, decoupled_;
  FlatParameters flat_;
  Tensor velocity_;
};

KINDRED_OPTIMIZER("sgd", Sgd, "momentum, Nesterov; weight decay coupled or decoupled");

}  // namespace
}  // namespace kindred
