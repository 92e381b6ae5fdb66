#include "trainer/train/collapse_alarm.h"

#include <cmath>

#include "common/base/option_rules.h"

namespace kindred {

namespace {

constexpr const char* kAdvice =
    "; the embeddings are collapsing into one: lower train.lr or lengthen train.warmup_epochs, begin with a "
    "milder miner (semi_hard, or soft-weighted) or a loss on class centres (arcface), add koleo, or take "
    "more classes and images a batch";

}  // namespace

double embedding_spread(Stream& stream, const Tensor& rows) {
  std::vector<float> values(static_cast<size_t>(rows.elements()));
  stream.copy(values.data(), rows.raw(), rows.bytes());
  stream.wait();
  std::vector<double> sums(static_cast<size_t>(rows.shape()[1]));
  for (size_t row = 0; row < values.size(); row += sums.size())
    for (size_t d = 0; d < sums.size(); ++d) sums[d] += static_cast<double>(values[row + d]);
  double square = 0;
  for (const double sum : sums) square += sum * sum;
  return 1 - square / std::pow(static_cast<double>(rows.shape()[0]), 2);
}

void CollapseAlarm::declare(Options& options) {
  options.add<int64_t>("train.alarm_steps", 200,
                       "steps for which a run must look collapsed before a warning; 0: no warnings");
  options.add("train.alarm_spread", 0.02,
              "embeddings look collapsed when their spread (1 - cosine, mean of all pairs) is below this");
}

CollapseAlarm::CollapseAlarm(const Options& options, std::vector<double> collapse_values)
    : steps_(options.get<int64_t>("train.alarm_steps")),
      least_spread_(options.get<double>("train.alarm_spread")),
      collapse_values_(std::move(collapse_values)),
      parked_(collapse_values_.size()) {
  require_option<int64_t>(options, "train.alarm_steps", steps_ >= 0, "at least 0");
  require_option(options, "train.alarm_spread", least_spread_ >= 0 && least_spread_ <= 1, "in [0, 1]");
}

std::optional<std::string> CollapseAlarm::look(const StepRecord& record) {
  if (steps_ == 0) return {};
  std::vector<std::string> signs;
  narrow_ = record.spread < least_spread_ ? narrow_ + 1 : 0;
  if (narrow_ == steps_) signs.push_back(concat("the embeddings' spread is ", fixed(record.spread, 4)));
  for (size_t i = 0; i < parked_.size(); ++i) {
    const auto& [name, loss] = record.parts[i];
    const double value = collapse_values_[i];
    parked_[i] = std::abs(loss - value) <= 0.01 * value ? parked_[i] + 1 : 0;  // never where value is NaN
    if (parked_[i] == steps_) {
      signs.push_back(
          concat("loss ", name, " stays at ", fixed(loss, 4), ", its value when all embeddings are one"));
    }
  }
  if (signs.empty()) return {};
  return concat("step ", record.step, ": for ", steps_, " steps ", join(signs, " and "), kAdvice);
}

}  // namespace kindred
