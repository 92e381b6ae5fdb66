#include "trainer/train/train_options.h"

#include "common/base/option_rules.h"
#include "common/base/registry.h"
#include "common/engine/precision.h"
#include "trainer/data/transform.h"
#include "trainer/losses/loss.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"
#include "trainer/train/collapse_alarm.h"
#include "trainer/train/dry_run.h"

namespace kindred {

using Text = std::string;
using Words = std::vector<std::string>;

void declare_train_options(Options& options) {
  options.accept_config_files();

  options.group("Data");
  options.add<Text>("data.train", "", "folder of class folders, or a list file (path<TAB>label)");
  options.add<Text>("data.validation", "",
                    "the same, of classes that are not trained on; empty: no evaluation");
  options.add<Text>("data.augment", "random_resized_crop horizontal_flip color_jitter",
                    concat("augmentations in order (known: ", join(transform_registry().names()), ")"));
  options.add<int64_t>("data.workers", 1, "threads that read, decode and augment, per rank");
  options.add<bool>("data.cache", false, "keep decoded pictures in memory (small data sets)");
  options.add<double>("data.max_broken", 0.01,
                      "stop when more than this share of the pictures cannot be read");

  options.group("Model");
  options.add<Text>("model.arch", "pphgnetv2_b0", "backbone; `kindred-model list` shows all");
  options.add<int64_t>("model.embedding", 256, "length of the embedding");
  options.add<bool>("model.bnneck", false, "batch norm between the last linear layer and the L2 norm");
  options.add<bool>("model.tail", false,
                    "embed the classifier's input features instead of the pooled last map");
  options.add<int64_t>("model.image_size", 224, "height and width of the network's input");
  options.add<int64_t>("model.channels", 3,
                       "of the network's input: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha");
  options.add<double>("model.drop_path", 0, "largest rate of dropped residual paths (Swin)");
  options.add<double>("model.dropout", 0, "rate of dropout before the last linear layer");
  options.add<Text>("model.dropout_scale", "upscale_in_train",
                    "survivors of dropout grow in training (upscale_in_train), or everything shrinks in "
                    "inference (downscale_in_infer, PaddleClas)");
  options.add<Text>(
      "model.stage_lr", "",
      "factors on the learning rate from the stem to the last stage, such as '0 0.1 0.1 0.5 1'; "
      "empty: 1 for all");
  options.add<Text>(
      "model.weights", "",
      "start from the backbone of this .safetensors file (ours or timm's) instead of fresh weights");
  options.add<bool>("model.allow_partial", false,
                    "take what fits of model.weights, and fresh values for the rest, with a warning");

  options.group("Training");
  options.add<Text>("train.run", "runs/last", "folder for config, metrics, checkpoints and the model");
  options.add<Text>("train.device", "cpu", "cpu or cuda");
  options.add<Text>("train.precision", "fp32",
                    "fp32, or bf16: values and products in bf16; weights, statistics and losses in fp32");
  options.add<int64_t>("train.seed", 1, "seed of everything random");
  options.add<int64_t>("train.epochs", 20, "passes over the data");
  options.add<int64_t>("train.batch", 128, "images in a step, of all ranks together");
  options.add<int64_t>("train.images_per_class", 4, "images of one class in a step (K of P x K)");
  options.add<int64_t>(
      "train.accumulate", 1,
      "chunks of a rank's images, one after the other in the network, while the losses still see "
      "the whole batch at once: saves memory, costs a second forward pass; batch norm takes its "
      "statistics from a chunk");
  options.add<Text>("train.losses", "triplet",
                    concat("losses with weights, such as 'triplet*1.0 arcface*0.5' (known: ",
                           join(loss_registry().names()), ")"));
  options.add<int64_t>(
      "train.tile_mb", 64,
      "megabytes of pair scores that a loss holds at once, per rank; where all pairs fit, they are "
      "scored once");
  options.add<Text>("train.optimizer", "adamw", concat("one of: ", join(optimizer_registry().names())));
  Schedule::declare(options);
  options.add<double>("train.clip_norm", 0, "largest global norm of the gradient; 0: no clipping");
  options.add<int64_t>("train.evaluate_every", 1, "epochs between evaluations on data.validation");
  options.add<int64_t>("train.checkpoint_every", 0,
                       "steps between checkpoints; 0: at the end of every epoch");
  options.add<int64_t>("train.keep_checkpoints", 2, "how many of the newest checkpoints stay on disk");
  options.add<int64_t>("train.log_every", 20, "steps between lines of metrics.jsonl");
  CollapseAlarm::declare(options);
  options.add<int64_t>("train.stop_after", 0, "stop after this many steps in all; 0: train.epochs decides");
  options.add<int64_t>("train.threads", 0,
                       "compute threads per rank; 0: its share of the machine's cores, or OMP_NUM_THREADS");
  options.add<Text>(
      "resume", "auto",
      "auto: go on from the run's newest good checkpoint; never: refuse a run that has any; or a "
      "checkpoint folder");
  options.add<bool>(
      "report-noise", false,
      "do not train: embed data.train with model.weights, or with what the run has learned so far, list "
      "pictures that may be mislabelled and classes that may be one, and write noise.json into the run");

  options.group("Dry run");
  declare_dry_run_options(options);

  options.group("Memory bank (cross-batch memory), for all losses on pairs");
  BankSettings::declare(options);

  for (const auto& [name, entry] : loss_registry().entries()) {
    options.group(concat("Loss ", name, ": ", entry.help));
    entry.make.declare(options);
  }
  for (const auto& [name, entry] : optimizer_registry().entries()) {
    options.group(concat("Optimizer ", name, ": ", entry.help));
    entry.make.declare(options);
  }
  for (const auto& [name, entry] : transform_registry().entries()) {
    options.group(concat("Augmentation ", name, ": ", entry.help));
    entry.make.declare(options);
  }

  options.footer(
      "Examples:\n"
      "  kindred-train --config configs/demo.conf\n"
      "  mpirun -np 2 kindred-train --config configs/demo.conf --train.epochs 40\n"
      "Exit codes: 0 done, 1 failed, 2 wrong options, 75 a peer was lost, 76 loss or gradient not finite,\n"
      "77 stopped by SIGTERM after a checkpoint (run the same command again to go on).");
}

namespace {

// Reads numbers with their limits; the message names the option and the place it was set.
class Reader {
 public:
  explicit Reader(const Options& options) : options_(options) {}

  int64_t whole(const char* name, int64_t least, int64_t most = int64_t{1} << 40) const {
    const int64_t value = options_.get<int64_t>(name);
    if (value < least || value > most)
      fail_value(name, concat(value), concat("a whole number from ", least, " to ", most));
    return value;
  }
  double real(const char* name, double least, double most) const {
    const double value = options_.get<double>(name);
    if (!(value >= least && value <= most))
      fail_value(name, concat(value), concat("a number from ", least, " to ", most));
    return value;
  }
  Text text(const char* name) const { return options_.get<Text>(name); }
  bool flag(const char* name) const { return options_.get<bool>(name); }
  [[noreturn]] void fail_value(const char* name, const Text& found, const Text& expected) const {
    if (!options_.given(name)) fail_usage("option '", name, "' is missing; expected ", expected);
    fail_usage(options_.source(name), ": '", name, "' is ", found.empty() ? "empty" : found, "; expected ",
               expected);
  }

 private:
  const Options& options_;
};

}  // namespace

TrainConfig read_train_config(const Options& options) {
  const Reader read(options);
  TrainConfig config;
  config.train_data = read.text("data.train");
  if (config.train_data.empty())
    read.fail_value("data.train", "", "a folder of class folders or a list file");
  config.validation_data = read.text("data.validation");
  config.augment = split_words(read.text("data.augment"));
  for (const Text& name : config.augment) {
    if (!transform_registry().contains(name)) {
      fail_usage(options.source("data.augment"), ": ",
                 unknown_name_text("augmentation", name, transform_registry().names()));
    }
  }
  config.workers = static_cast<int>(read.whole("data.workers", 1, 256));
  config.cache_images = read.flag("data.cache");
  config.max_broken_fraction = read.real("data.max_broken", 0, 1);

  config.model.arch = parsed_option(options, "model.arch", canonical_arch);
  config.model.embedding = static_cast<int>(read.whole("model.embedding", 2, 65536));
  config.model.bnneck = read.flag("model.bnneck");
  config.model.neck_tail = read.flag("model.tail");
  config.model.backbone.drop_path = read.real("model.drop_path", 0, 0.99);
  config.model.backbone.dropout = read.real("model.dropout", 0, 0.99);
  config.model.backbone.dropout_scale = parsed_option(options, "model.dropout_scale", parse_dropout_scale);
  config.model.backbone.stage_lr = parsed_option(
      options, "model.stage_lr", [&](const Text& text) { return parse_stage_lr(text, config.model.arch); });
  const int size = static_cast<int>(read.whole("model.image_size", 32, 4096));
  config.model.image.height = config.model.image.width = size;
  config.model.image =
      with_channels(config.model.image, static_cast<int>(read.whole("model.channels", 1, kMaxChannels)));
  config.weights = read.text("model.weights");
  config.weights_fit = read.flag("model.allow_partial") ? Fit::partial : Fit::exact;

  config.run = read.text("train.run");
  if (config.run.empty()) read.fail_value("train.run", "", "a folder");
  config.device = parsed_option(options, "train.device", Device::parse);
  config.precision = parsed_option(options, "train.precision", parse_precision);
  config.seed = static_cast<uint64_t>(read.whole("train.seed", 0));
  config.epochs = read.whole("train.epochs", 1);
  config.batch = read.whole("train.batch", 2);
  config.images_per_class = static_cast<int>(read.whole("train.images_per_class", 2, 4096));
  config.stop_after_steps = read.whole("train.stop_after", 0);
  config.losses = split_words(read.text("train.losses"));
  if (config.losses.empty()) read.fail_value("train.losses", "", "at least one loss");
  config.accumulate = read.whole("train.accumulate", 1);
  config.tile_bytes = read.whole("train.tile_mb", 1, 1 << 20) << 20;
  config.bank = BankSettings::read(options, config.batch);
  config.optimizer = read.text("train.optimizer");
  if (!optimizer_registry().contains(config.optimizer)) {
    fail_usage(options.source("train.optimizer"), ": ",
               unknown_name_text("optimizer", config.optimizer, optimizer_registry().names()));
  }
  config.clip_norm = read.real("train.clip_norm", 0, 1e12);
  config.evaluate_every = read.whole("train.evaluate_every", 1);
  config.checkpoint_every_steps = read.whole("train.checkpoint_every", 0);
  config.keep_checkpoints = static_cast<int>(read.whole("train.keep_checkpoints", 1, 1 << 20));
  config.log_every = static_cast<int>(read.whole("train.log_every", 1, 1 << 30));
  config.threads = static_cast<int>(read.whole("train.threads", 0, 4096));
  config.resume = read.text("resume");
  return config;
}

}  // namespace kindred
