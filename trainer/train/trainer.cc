#include "trainer/train/trainer.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/engine/precision.h"
#include "common/engine/program.h"
#include "common/io/file.h"
#include "common/models/model_file.h"
#include "trainer/data/loader.h"
#include "trainer/dist/agreement.h"
#include "trainer/dist/reducer.h"
#include "trainer/losses/memory_bank.h"
#include "trainer/optim/schedule.h"
#include "trainer/train/checkpoint.h"
#include "trainer/train/collapse_alarm.h"
#include "trainer/train/stop_signal.h"
#include "trainer/train/teacher.h"

namespace kindred {

namespace fs = std::filesystem;

namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

int64_t rank_batch(const TrainConfig& config, int ranks) {
  if (config.batch % ranks != 0) {
    fail_usage("train.batch is ", config.batch, ", which ", ranks,
               " ranks do not divide; it counts the images of all ranks together");
  }
  return config.batch / ranks;
}

}  // namespace

struct Trainer::Impl {
  Impl(const TrainConfig& config, const Options& options, Stream& stream, Communicator& communicator);

  void build_network(const Options& options);
  void resume(const std::string& checkpoints);
  std::string checkpoints_folder() const { return config.run + "/checkpoints"; }
  void checkpoint();
  void evaluate();
  bool anyone_wants_to_stop();
  StepRecord step();
  /// Chunk c of this rank's images through the network; keeps what the losses read.
  void forward(const Batch& batch, int64_t c);
  /// From dL/d(embeddings) to parameter gradients, summed over ranks.
  void backward(const Batch& batch);
  [[noreturn]] void report_not_finite(const Batch& batch, const StepRecord& record);
  double epochs_done() const {
    return static_cast<double>(steps_done) / static_cast<double>(steps_per_epoch);
  }

  const TrainConfig config;
  Stream& stream;
  Communicator& communicator;
  const bool writes;  // rank 0 owns the run's folder

  Dataset data;
  ParameterSet parameters;
  std::vector<std::pair<std::unique_ptr<Loss>, double>> losses;
  std::vector<std::string> loss_names;
  bool reads_raw = false;
  std::unique_ptr<Teacher> teacher;  // null where no loss has one
  std::unique_ptr<PkSampler> sampler;
  std::unique_ptr<Loader> loader;
  std::unique_ptr<Program> program;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Schedule> schedule;
  std::unique_ptr<GradientReducer> reducer;
  std::unique_ptr<MemoryBank> bank;  // null without bank.size
  std::unique_ptr<Evaluator> evaluator;
  std::unique_ptr<RunLog> log;
  std::unique_ptr<CollapseAlarm> alarm;

  int64_t local_batch = 0, chunk = 0;  // images of this rank in a step, and in the network at once
  EmbeddingGradients gradients;
  Tensor embeddings, raw, kept_buffers;  // embeddings, raw: [local_batch, D], of all chunks
  int64_t steps_per_epoch = 0, total_steps = 0, steps_done = 0, last_checkpoint = -1;
  Tensor labels, sample_ids, all_embeddings, all_labels, all_sample_ids, reference_share, all_raw,
      all_teacher, stop_flag;
};

Trainer::Impl::Impl(const TrainConfig& the_config, const Options& options, Stream& the_stream,
                    Communicator& the_communicator)
    : config(the_config),
      stream(the_stream),
      communicator(the_communicator),
      writes(the_communicator.rank() == 0),
      parameters(the_communicator.rank(), the_communicator.size()) {
  local_batch = rank_batch(config, communicator.size());
  if (local_batch % config.accumulate != 0) {
    fail_usage("train.accumulate is ", config.accumulate, ", which does not divide the ", local_batch,
               " images of a rank");
  }
  chunk = local_batch / config.accumulate;
  require_same_on_all_ranks(stream, communicator, "the options", options.config_text());
  data = load_dataset(config.train_data);
  sampler = std::make_unique<PkSampler>(data, config.seed, config.batch, config.images_per_class,
                                        communicator.size());
  steps_per_epoch = sampler->steps_per_epoch();
  total_steps = config.epochs * steps_per_epoch;
  schedule = std::make_unique<Schedule>(options, steps_per_epoch, total_steps);
  if (config.stop_after_steps > 0) total_steps = std::min(total_steps, config.stop_after_steps);

  build_network(options);
  if (!config.validation_data.empty()) {
    evaluator = std::make_unique<Evaluator>(load_dataset(config.validation_data), config.model, parameters,
                                            stream, communicator, std::min<int64_t>(chunk, 32));
  }
  if (writes) {
    std::error_code error;
    fs::create_directories(checkpoints_folder(), error);
    if (error) fail(checkpoints_folder(), ": cannot make the folder: ", error.message());
  }
  resume(checkpoints_folder());
  if (writes) write_file(config.run + "/config.conf", options.config_text());

  LoaderOptions loading;
  loading.seed = config.seed;
  loading.workers = config.workers;
  loading.max_broken_fraction = config.max_broken_fraction;
  loading.image = config.model.image;
  loading.cache = config.cache_images;
  loader =
      std::make_unique<Loader>(data, *sampler, make_transforms(config.augment, options, config.model.image),
                               loading, communicator.rank());
  loader->start(steps_done / steps_per_epoch, steps_done % steps_per_epoch);
  std::vector<double> collapse_values;
  for (const auto& [loss, weight] : losses) collapse_values.push_back(loss->collapse_value());
  alarm = std::make_unique<CollapseAlarm>(options, collapse_values);
  log = std::make_unique<RunLog>(config.run, writes, steps_done, total_steps, config.batch, config.log_every);
}

void Trainer::Impl::build_network(const Options& options) {
  const int64_t rows = config.batch, dim = config.model.embedding;
  losses = make_losses(config.losses, options);
  for (const auto& [loss, weight] : losses) {
    reads_raw = reads_raw || loss->reads_raw();
    if (!loss->teacher().empty())
      teacher = std::make_unique<Teacher>(loss->teacher(), config.model.image, local_batch, stream);
  }
  Graph graph = build_model(parameters, config.model, chunk, reads_raw);
  for (const std::string& word : config.losses) loss_names.push_back(word.substr(0, word.find('*')));
  for (const auto& [loss, weight] : losses) loss->declare(parameters, config.model.embedding, data.classes());
  const int64_t macs = graph.macs() / chunk;
  parameters.freeze(stream);
  parameters.initialize(config.seed);
  if (!config.weights.empty()) {
    const auto [fresh, differences] =
        load_backbone_weights(config.weights, config.model, parameters, config.weights_fit);
    log_info("starting from ", config.weights, fresh.empty() ? "" : "; fresh values for ", join(fresh));
    if (!differences.empty()) log_warning(config.weights, ": ", differences);
  }

  CompileOptions compile;
  compile.training = true;
  compile.communicator = &communicator;
  compile.compute = config.precision;
  program = std::make_unique<Program>(std::move(graph), stream, compile);
  optimizer = optimizer_registry().get(config.optimizer).make.make(options, parameters, stream);
  reducer = std::make_unique<GradientReducer>(parameters, communicator, stream);

  embeddings = program->output("embedding"), gradients.anchors = program->output_gradient("embedding");
  if (reads_raw) raw = program->output("raw"), gradients.raw = program->output_gradient("raw");
  if (config.accumulate > 1) {
    const Shape whole{local_batch, dim};
    embeddings = Tensor(whole), gradients.anchors = Tensor(whole);
    if (reads_raw) raw = Tensor(whole), gradients.raw = Tensor(whole);
    if (parameters.buffers()) kept_buffers = Tensor(parameters.buffers().shape());
  }
  if (config.bank.size > 0) bank = std::make_unique<MemoryBank>(config.bank, dim, stream, communicator);

  labels = Tensor(Shape{local_batch}, DType::i64);
  sample_ids = Tensor(Shape{local_batch}, DType::i64);
  all_embeddings = Tensor(Shape{rows, dim});
  all_labels = Tensor(Shape{rows}, DType::i64);
  all_sample_ids = Tensor(Shape{rows}, DType::i64);
  gradients.references = Tensor(Shape{rows, dim});
  reference_share = Tensor(Shape{local_batch, dim});
  if (reads_raw) {
    all_raw = Tensor(Shape{rows, dim});
    gradients.raw_references = Tensor(Shape{rows, dim});
  }
  if (teacher) all_teacher = Tensor(Shape{rows, teacher->dim()});
  stop_flag = Tensor(Shape{1});

  log_info(config.model.arch, ": ", parameters.trainable_elements(), " trainable values, ",
           fixed(static_cast<double>(macs) / 1e6, 1), " M multiply-accumulates an image of ",
           config.model.image.height, "x", config.model.image.width);
  log_info("data: ", data.items.size(), " images of ", data.classes(), " classes; ", steps_per_epoch,
           " steps an epoch of ", config.batch, " images (", config.batch / config.images_per_class,
           " classes x ", config.images_per_class, ") on ", communicator.size(),
           communicator.size() == 1 ? " rank" : " ranks");
  log_info("memory: ", program->plan().text());
  if (config.accumulate > 1) {
    log_info("the network sees ", chunk, " images of a rank at once, and every image twice",
             kept_buffers ? concat("; batch norm takes its statistics from ", chunk * communicator.size(),
                                   " images, not from the whole batch")
                          : "");
  }
}

// Rank 0 looks for the checkpoint and reads it; the others get the content by broadcast, so that no shared
// file system is needed.
void Trainer::Impl::resume(const std::string& checkpoints) {
  const Tensor position(Shape{1}, DType::i64), optimizer_steps(Shape{1}, DType::i64);
  std::vector<WholeTensor> wholes;
  const NamedTensors bank_state = bank ? bank->blank_state() : NamedTensors{};
  if (writes) {
    std::optional<std::string> from;
    if (config.resume == "auto") {
      from = newest_checkpoint(checkpoints);
    } else if (config.resume == "never") {
      if (const auto found = newest_checkpoint(checkpoints)) {
        fail(*found,
             ": the run has a checkpoint already; choose another train.run, or --resume auto to go on");
      }
    } else {
      from = config.resume;
    }
    if (from) {
      const CheckpointState state = read_checkpoint(*from, parameters, *optimizer, wholes, bank_state);
      if (state.global_batch != config.batch || state.steps_per_epoch != steps_per_epoch) {
        fail(*from, ": written with train.batch ", state.global_batch, " and ", state.steps_per_epoch,
             " steps an epoch; this run has ", config.batch, " and ", steps_per_epoch);
      }
      if (state.seed != config.seed)
        fail(*from, ": written with train.seed ", state.seed, "; this run has ", config.seed);
      if (state.precision != config.precision) {
        fail(*from, ": written with train.precision ", precision_text(state.precision), "; this run has ",
             precision_text(config.precision));
      }
      if (state.world_size != communicator.size() || state.threads != thread_count()) {
        log_warning(*from, ": written by ", state.world_size, " ranks x ", state.threads,
                    " threads, resumed by ", communicator.size(), " x ", thread_count(),
                    "; the result is equal to rounding, not bit for bit");
      }
      *position.data<int64_t>() = state.step;
      *optimizer_steps.data<int64_t>() = optimizer->steps_done();
      log_info("resuming after step ", state.step, " from ", *from);
    }
  }
  communicator.broadcast(stream, position, 0);
  communicator.broadcast(stream, optimizer_steps, 0);
  communicator.broadcast(stream, parameters.values(), 0);
  if (parameters.buffers()) communicator.broadcast(stream, parameters.buffers(), 0);
  for (const auto& [name, slot] : optimizer->slots()) communicator.broadcast(stream, slot, 0);
  stream.wait();
  if (*position.data<int64_t>() > 0) {
    scatter_sharded(stream, communicator, wholes, parameters, *optimizer);
    if (bank) bank->restore(bank_state);
  }
  steps_done = last_checkpoint = *position.data<int64_t>();
  optimizer->set_steps_done(*optimizer_steps.data<int64_t>());
  parameters.touch();
}

StepRecord Trainer::Impl::step() {
  const auto begin = std::chrono::steady_clock::now();
  const Batch batch = loader->next();
  const int64_t first_row = local_batch * communicator.rank();
  std::copy(batch.labels.begin(), batch.labels.end(), labels.data<int64_t>());
  std::copy(batch.sample_ids.begin(), batch.sample_ids.end(), sample_ids.data<int64_t>());

  stream.zero(parameters.gradients());
  for (int64_t c = 0; c < config.accumulate; ++c) forward(batch, c);

  // Every rank scores its own anchors against the rows of all ranks.
  communicator.all_gather(stream, embeddings, all_embeddings);
  communicator.all_gather(stream, labels, all_labels);
  communicator.all_gather(stream, sample_ids, all_sample_ids);
  EmbeddingBatch rows{embeddings, labels, sample_ids, all_embeddings, all_labels, all_sample_ids, first_row};
  rows.seed = config.seed, rows.step = steps_done;
  rows.tile_bytes = config.tile_bytes, rows.bank = bank.get();
  if (bank) bank->add(all_embeddings, all_labels, all_sample_ids, steps_done);
  stream.zero(gradients.anchors);
  stream.zero(gradients.references);
  if (reads_raw) {
    rows.raw = raw, rows.all_raw = all_raw;
    communicator.all_gather(stream, raw, all_raw);
    stream.zero(gradients.raw);
    stream.zero(gradients.raw_references);
  }
  if (teacher) {
    rows.teacher = teacher->embed(batch.images), rows.all_teacher = all_teacher;
    communicator.all_gather(stream, rows.teacher, all_teacher);
  }
  StepRecord record;
  for (size_t i = 0; i < losses.size(); ++i) {
    const LossValue value = losses[i].first->run(stream, communicator, rows, gradients, losses[i].second);
    if (i == 0)
      record.value = value, record.value.loss = 0;  // the first loss speaks for activity and hardest scores
    record.value.loss += losses[i].second * value.loss;
    record.parts.emplace_back(loss_names[i], value.loss);
  }
  // What other ranks' anchors want of this rank's rows comes back as a sum.
  const auto add_share = [&](const Tensor& of_all, const Tensor& mine) {
    communicator.reduce_scatter(stream, of_all, reference_share);
    for (int64_t i = 0; i < mine.elements(); ++i) mine.f32()[i] += reference_share.f32()[i];
  };
  add_share(gradients.references, gradients.anchors);
  if (reads_raw) add_share(gradients.raw_references, gradients.raw);

  backward(batch);
  record.spread = embedding_spread(stream, all_embeddings);
  record.gradient_norm = gradient_norm(stream, communicator, parameters);
  record.learning_rate = schedule->learning_rate(steps_done);
  if (!std::isfinite(record.value.loss) || !std::isfinite(record.gradient_norm))
    report_not_finite(batch, record);
  const double clip = config.clip_norm > 0 && record.gradient_norm > config.clip_norm
                          ? config.clip_norm / record.gradient_norm
                          : 1;
  optimizer->step(stream, record.learning_rate, clip);

  ++steps_done;
  record.step = steps_done;
  record.epoch = epochs_done();
  record.wait_seconds = loader->take_wait_seconds();
  record.seconds = seconds_since(begin);
  return record;
}

void Trainer::Impl::forward(const Batch& batch, int64_t c) {
  stream.copy(program->input("image"), batch.images.slice(c * chunk, chunk));
  program->forward({config.seed, steps_done, local_batch * communicator.rank() + c * chunk});
  if (config.accumulate == 1) return;  // the losses read the network's own output
  stream.copy(embeddings.slice(c * chunk, chunk), program->output("embedding"));
  if (reads_raw) stream.copy(raw.slice(c * chunk, chunk), program->output("raw"));
}

// With chunks: embed all of them without keeping activations, then one after the other again with the
// gradient that the whole pool gave. Random draws are keyed by row and so the same both times.
// Source: Gao, Zhang, Han, Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
// RepL4NLP 2021 (GradCache).
void Trainer::Impl::backward(const Batch& batch) {
  reducer->begin();
  const auto ready = [this](int64_t final_elements) { reducer->ready(final_elements); };
  if (config.accumulate == 1) {
    program->backward(ready);
  } else {
    if (kept_buffers) stream.copy(kept_buffers, parameters.buffers());  // the first pass has moved them
    for (int64_t c = config.accumulate - 1; c >= 0; --c) {
      if (c < config.accumulate - 1) forward(batch, c);  // of the last chunk everything is still there
      stream.copy(program->output_gradient("embedding"), gradients.anchors.slice(c * chunk, chunk));
      if (reads_raw) stream.copy(program->output_gradient("raw"), gradients.raw.slice(c * chunk, chunk));
      program->backward(c == 0 ? Program::ReadyFn(ready) : Program::ReadyFn());
    }
    if (kept_buffers) stream.copy(parameters.buffers(), kept_buffers);
  }
  reducer->finish();
}

void Trainer::Impl::report_not_finite(const Batch& batch, const StepRecord& record) {
  std::string samples;
  for (const int64_t id : batch.sample_ids) samples += concat(samples.empty() ? "" : " ", id);
  const std::string layer = program->first_bad_node();
  throw NotFinite(
      concat("step ", steps_done + 1, ": the loss is ", record.value.loss, " and the gradient norm ",
             record.gradient_norm, "; first layer with a value that is not finite: ",
             layer.empty() ? "none on this rank" : layer, "; samples of rank ", communicator.rank(), ": ",
             samples, "; lower train.lr, lengthen train.warmup_epochs or set train.clip_norm, and resume"));
}

bool Trainer::Impl::anyone_wants_to_stop() {
  *stop_flag.f32() = stop_requested() ? 1 : 0;
  communicator.all_reduce(stream, stop_flag);
  stream.wait();
  return *stop_flag.f32() > 0;
}

void Trainer::Impl::checkpoint() {
  if (steps_done == last_checkpoint) return;
  const std::vector<WholeTensor> wholes = gather_sharded(stream, communicator, parameters, *optimizer);
  const NamedTensors bank_state = bank ? bank->state() : NamedTensors{};
  if (writes) {
    log->sync();
    const CheckpointState state{steps_done,          steps_per_epoch, config.batch,    config.seed,
                                communicator.size(), thread_count(),  config.precision};
    write_checkpoint(checkpoints_folder(), state, config.model, parameters, *optimizer, wholes, bank_state,
                     config.keep_checkpoints);
  }
  last_checkpoint = steps_done;
  communicator.barrier();
}

void Trainer::Impl::evaluate() {
  if (!evaluator) return;
  log->evaluation(steps_done, epochs_done(), evaluator->run());
  log->draw_report();
}

Trainer::Trainer(const TrainConfig& config, const Options& options, Stream& stream,
                 Communicator& communicator)
    : impl_(std::make_unique<Impl>(config, options, stream, communicator)) {}
Trainer::~Trainer() = default;

StepRecord Trainer::step() { return impl_->step(); }
ParameterSet& Trainer::parameters() { return impl_->parameters; }
int64_t Trainer::steps_done() const { return impl_->steps_done; }

Trainer::End Trainer::run() {
  Impl& it = *impl_;
  if (it.steps_done == 0) it.evaluate();
  while (it.steps_done < it.total_steps) {
    const StepRecord record = it.step();
    it.log->step(record);
    if (const auto warning = it.alarm->look(record)) it.log->warning(*warning);
    const bool last = it.steps_done == it.total_steps, epoch_ends = it.steps_done % it.steps_per_epoch == 0;
    const int64_t epochs = it.steps_done / it.steps_per_epoch;
    if (last || (epoch_ends && epochs % it.config.evaluate_every == 0)) it.evaluate();
    const int64_t every = it.config.checkpoint_every_steps;
    if (last || (every > 0 ? it.steps_done % every == 0 : epoch_ends)) it.checkpoint();
    if (!last && it.anyone_wants_to_stop()) {
      it.checkpoint();
      it.log->draw_report();
      return End::stopped;
    }
  }
  it.log->draw_report();
  if (it.writes) {
    save_model(it.config.run + "/model.safetensors", it.config.model, it.parameters,
               {{"training_config", read_file(it.config.run + "/config.conf")}});
  }
  it.communicator.barrier();
  return End::done;
}

}  // namespace kindred
