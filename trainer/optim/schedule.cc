#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/base/option_rules.h"

namespace kindred {
namespace {

/// The epochs of option train.lr_steps. Throws UsageError unless they are above 0, each above the last.
std::vector<double> rising_epochs(const Options& options) {
  const std::string& text = options.get<std::string>("train.lr_steps");
  std::vector<double> epochs;
  bool rising = true;
  try {
    for (const std::string& word : split_words(text)) {
      epochs.push_back(parse_double(word, "an epoch"));
      rising = rising && epochs.back() > (epochs.size() > 1 ? epochs[epochs.size() - 2] : 0);
    }
  } catch (const Error&) {
    rising = false;
  }
  if (!rising) {
    fail_usage(options.source("train.lr_steps"),
               ": train.lr_steps must be rising epochs, such as '30 60 90'; found '", text, "'");
  }
  return epochs;
}

}  // namespace

void Schedule::declare(Options& options) {
  options.add("train.lr", 1e-3, "learning rate after the warm-up");
  options.add<std::string>(
      "train.schedule", "cosine",
      "cosine: half a wave down to train.lr_min; constant; step: train.lr_decay at each of "
      "train.lr_steps");
  options.add("train.warmup_epochs", 0.0, "epochs in which the rate rises in a straight line, step by step");
  options.add("train.warmup_start", 0.0, "rate of the first warm-up step");
  options.add("train.lr_min", 0.0, "rate at the end of a cosine");
  options.add<std::string>("train.lr_steps", "", "epochs at which the rate falls, such as '30 60 90'");
  options.add("train.lr_decay", 0.1, "factor of each fall");
}

Schedule::Schedule(const Options& options, int64_t steps_per_epoch, int64_t total_steps)
    : kind_(choose_option<Kind>(
          options, "train.schedule",
          {{"cosine", Kind::cosine}, {"constant", Kind::constant}, {"step", Kind::step}})),
      base_(options.get<double>("train.lr")),
      minimum_(options.get<double>("train.lr_min")),
      warmup_start_(options.get<double>("train.warmup_start")),
      decay_(options.get<double>("train.lr_decay")),
      total_steps_(total_steps) {
  const double warmup_epochs = options.get<double>("train.warmup_epochs");
  require_option(options, "train.lr", base_ > 0, "more than 0");
  require_option(options, "train.warmup_epochs", warmup_epochs >= 0, "at least 0");
  require_option(options, "train.warmup_start", warmup_start_ >= 0 && warmup_start_ <= base_,
                 "from 0 to train.lr");
  require_option(options, "train.lr_min", minimum_ >= 0 && minimum_ <= base_, "from 0 to train.lr");
  require_option(options, "train.lr_decay", decay_ > 0 && decay_ <= 1, "in (0, 1]");
  constexpr double kNever = 1e15;  // more steps than any run has, and still an integer
  const auto steps = [&](double epochs) {
    return std::llround(std::min(kNever, epochs * static_cast<double>(steps_per_epoch)));
  };
  warmup_steps_ = std::min<int64_t>(steps(warmup_epochs), total_steps);
  for (const double epoch : rising_epochs(options)) milestones_.push_back(steps(epoch));

  const auto refuse_if = [&](bool refused, std::string_view name, std::string_view reason) {
    if (refused) {
      fail_usage(options.source(name), ": ", name, ' ', reason, " train.schedule ",
                 options.get<std::string>("train.schedule"));
    }
  };
  refuse_if(kind_ != Kind::cosine && minimum_ != 0, "train.lr_min", "means nothing with");
  refuse_if(kind_ != Kind::step && !milestones_.empty(), "train.lr_steps", "means nothing with");
  refuse_if(kind_ == Kind::step && milestones_.empty(), "train.lr_steps", "must be given with");
}

double Schedule::learning_rate(int64_t step) const {
  if (step < warmup_steps_) {
    return warmup_start_ +
           (base_ - warmup_start_) * static_cast<double>(step) / static_cast<double>(warmup_steps_);
  }
  switch (kind_) {
    case Kind::constant:
      return base_;
    case Kind::step: {
      const auto falls = std::ranges::upper_bound(milestones_, step) - milestones_.begin();
      return base_ * std::pow(decay_, static_cast<double>(falls));
    }
    case Kind::cosine:
      break;
  }
  const auto span = static_cast<double>(std::max<int64_t>(1, total_steps_ - warmup_steps_));
  const double done = std::min(1.0, static_cast<double>(step - warmup_steps_) / span);
  return minimum_ + (base_ - minimum_) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

}  // namespace kindred
