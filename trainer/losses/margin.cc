// Margin loss: distances of positives below a boundary beta, of negatives above it, each by a margin alpha;
// the boundary may learn, for all classes or each class its own. Sum over the active pairs of all ranks,
// divided by their count, + nu times the mean of the anchors' beta.
//   [d - beta + alpha]_+ for positives, [beta - d + alpha]_+ for negatives, d euclidean
// Source: Wu, Manmatha, Smola, Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV 2017.
#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/distance.h"
#include "trainer/losses/row_loss.h"

namespace kindred {
namespace {

enum class Boundary { fixed, shared, per_class };

struct MarginRule {
  float alpha, beta, nu;
  Boundary boundary;
  const float* learned = nullptr;  // beta, where it learns
  static constexpr Distance kDistance{Distance::euclidean};

  struct State {
    double loss = 0;
    float beta = 0, pairs = 0, active_positives = 0, active_negatives = 0;
  };
  static constexpr int kSweeps = 1;
  static constexpr bool kJoint = true;

  KINDRED_DEV float beta_of(int64_t label) const {
    return boundary == Boundary::fixed ? beta : learned[boundary == Boundary::per_class ? label : 0];
  }

  KINDRED_DEV void fold(const Row& row, const Pairs& pairs, int, State& state) const {
    const float limit = state.beta = beta_of(pairs.label), by = alpha;
    const Distance distance = kDistance;
    const auto near = [=](float s) { return distance.of(s) - limit + by; };
    const auto far = [=](float s) { return limit - distance.of(s) + by; };
    const auto one_above_zero = [](float v) { return v > 0 ? 1.0f : 0.0f; };
    const auto hinge = [](float v) { return v > 0 ? v : 0.0f; };
    state.loss += pairs.positives(row, [=](float s) { return hinge(near(s)); });
    state.loss += pairs.negatives(row, [=](float s) { return hinge(far(s)); });
    state.active_positives += pairs.positives(row, [=](float s) { return one_above_zero(near(s)); });
    state.active_negatives += pairs.negatives(row, [=](float s) { return one_above_zero(far(s)); });
    const Pairs all = pairs;
    state.pairs += row.sum(pairs.count, [=](int64_t i) { return all.marks[i] != 0 ? 1.0f : 0.0f; });
  }

  KINDRED_DEV RowTerms finish(State& it) const {
    const float active = it.active_positives + it.active_negatives;
    return {static_cast<float>(it.loss), nu * it.beta, active, 1, active, it.pairs};
  }

  KINDRED_DEV float slope(const State& it, float score, uint8_t mark) const {
    const Distance distance = kDistance;
    const float towards = mark == kPositivePair ? 1.0f : -1.0f;
    return towards * (distance.of(score) - it.beta) + alpha > 0 ? towards * distance.slope(score) : 0;
  }
};

class Margin : public RowLoss<MarginRule> {
 public:
  static void declare_options(Options& options) {
    options.add("margin.alpha", 0.2, "how far from the boundary pairs should be");
    options.add("margin.beta", 1.2, "the boundary between positives and negatives, a distance; first value");
    options.add<std::string>("margin.learn_beta", "fixed",
                             "fixed, shared (one boundary that learns) or per_class (one for each class)");
    options.add("margin.beta_lr", 1.0, "learning rate of the boundary, as a multiple of train.lr");
    options.add("margin.nu", 0.0, "pulls a boundary that learns towards small distances");
    declare_pair_options(options, "margin", "distance_weighted");
  }

  explicit Margin(const Options& options)
      : RowLoss(options, "margin", make_miner(options, "margin", Device::KINDRED_LAUNCH_DEVICE),
                {static_cast<float>(options.get<double>("margin.alpha")),
                 static_cast<float>(options.get<double>("margin.beta")),
                 static_cast<float>(options.get<double>("margin.nu")),
                 choose_option<Boundary>(options, "margin.learn_beta",
                                         {{"fixed", Boundary::fixed},
                                          {"shared", Boundary::shared},
                                          {"per_class", Boundary::per_class}})}),
        learning_rate_(options.get<double>("margin.beta_lr")) {
    for (const char* name : {"margin.alpha", "margin.nu"})
      require_option(options, name, options.get<double>(name) >= 0, "at least 0");
    require_option(options, "margin.beta_lr", learning_rate_ > 0, "more than 0");
    require_option(options, "margin.beta", rule_.beta > 0 && rule_.beta < 2, "in (0, 2)");
    require_option(options, "margin.nu", rule_.nu == 0 || rule_.boundary != Boundary::fixed,
                   "0 where margin.learn_beta is fixed");
  }

  void declare(ParameterSet& parameters, int, int64_t classes) override {
    if (rule_.boundary == Boundary::fixed) return;
    ParamInfo info;
    info.name = "margin.beta";
    info.file_shape = Shape{rule_.boundary == Boundary::per_class ? classes : 1};
    info.init = Init::value(double{rule_.beta});
    info.decay = false;
    info.lr_scale = learning_rate_;
    beta_ = parameters.add(info);
    parameters_ = &parameters;
  }

  void begin(Stream& stream, const MiningStep& step) override {
    RowLoss::begin(stream, step);
    if (parameters_ == nullptr) return;
    const Tensor beta = parameters_->value(beta_);
    rule_.learned = beta.f32();
    if (rule_.boundary == Boundary::per_class) check_labels(stream, step, beta.elements());
  }

  void finish_gradient(Stream& stream, const MiningStep& step, PairScale scale) override {
    if (parameters_ == nullptr) return;
    float* const gradient = parameters_->gradient(beta_).f32();
    const State* const all = states();
    const MarginRule rule = rule_;
    const int64_t rows = step.rows;
    const int64_t* const labels = rule.boundary == Boundary::per_class ? step.row_labels : nullptr;
    // The first row of a class adds up what all its rows want.
    launch_each(
        stream, rows,
        [=] KINDRED_DEV(int64_t r) {
          const auto same = [=](int64_t other) { return labels == nullptr || labels[other] == labels[r]; };
          for (int64_t i = 0; i < r; ++i) {
            if (same(i)) return;
          }
          float sum = 0;
          for (int64_t i = r; i < rows; ++i) {
            if (!same(i)) continue;
            sum += scale.positive * (all[i].active_negatives - all[i].active_positives) +
                   scale.negative * rule.nu;
          }
          gradient[labels == nullptr ? 0 : labels[r]] += sum;
        },
        rows);
  }

 private:
  static void check_labels(Stream& stream, const MiningStep& step, int64_t classes) {
    std::vector<int64_t> labels(static_cast<size_t>(step.rows));
    stream.copy(labels.data(), step.row_labels, step.rows * static_cast<int64_t>(sizeof(int64_t)));
    stream.wait();
    for (const int64_t label : labels) {
      if (label < 0 || label >= classes)
        fail("margin: label ", label, " is not one of the ", classes, " classes");
    }
  }

  const double learning_rate_;
  ParameterSet* parameters_ = nullptr;  // null where the boundary is fixed
  Param beta_;
};

KINDRED_LOSS("margin", Margin, "positives and negatives on their sides of a boundary that may learn");

}  // namespace
}  // namespace kindred
