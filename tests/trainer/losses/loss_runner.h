// Runs a registered loss on any number of thread ranks, as the trainer does. In a header alone, so that the
// test program of the losses has it.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "trainer/dist/reducer.h"
#include "trainer/dist/shards.h"
#include "trainer/dist/thread_ranks.h"
#include "trainer/losses/loss.h"
#include "trainer/losses/memory_bank.h"
#include "trainer/miners/miner.h"

namespace kindred::test {

/// The samples of all ranks together. Rank r of R gets the r-th of R equal parts.
struct Samples {
  int64_t dim = 0, classes = 0;
  std::vector<float> embeddings;  // [M, dim], unit rows
  std::vector<int64_t> labels, ids;

  int64_t count() const { return static_cast<int64_t>(labels.size()); }
};

/// Unit rows scattered around one direction per class; neighbours are of different classes and ids are out of
/// order.
inline Samples random_samples(uint64_t seed, int64_t classes, int64_t images_per_class, int64_t dim) {
  Samples samples{dim, classes, {}, {}, {}};
  const int64_t count = classes * images_per_class;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = i % classes;
    Random of_class(seed, {1, static_cast<uint64_t>(label), 0}), own(seed, {2, static_cast<uint64_t>(i), 0});
    std::vector<double> row;
    double square = 0;
    for (int64_t d = 0; d < dim; ++d) {
      row.push_back(of_class.normal() + own.normal());
      square += row.back() * row.back();
    }
    for (const double value : row)
      samples.embeddings.push_back(static_cast<float>(value / std::sqrt(square)));
    samples.labels.push_back(label);
    samples.ids.push_back((i * 7 + 3) % count + (int64_t{1} << 30));
  }
  return samples;
}

/// Unit rows in the plane, by their angles in degrees.
inline Samples plane_samples(const std::vector<double>& degrees, const std::vector<int64_t>& labels) {
  Samples samples{2, *std::ranges::max_element(labels) + 1, {}, labels, {}};
  for (const double angle : degrees) {
    samples.embeddings.push_back(static_cast<float>(std::cos(angle * std::numbers::pi / 180)));
    samples.embeddings.push_back(static_cast<float>(std::sin(angle * std::numbers::pi / 180)));
    samples.ids.push_back(static_cast<int64_t>(samples.ids.size()));
  }
  return samples;
}

/// Options of all registered losses, with settings such as "triplet.margin=0.5".
inline Options loss_options(const std::vector<std::string>& settings) {
  Options options("loss_test", "the losses' own options");
  for (const auto& [name, entry] : loss_registry().entries()) entry.make.declare(options);
  std::vector<std::string> words{"loss_test"};
  for (const std::string& setting : settings) words.push_back("--" + setting);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  options.parse(static_cast<int>(argv.size()), argv.data());
  return options;
}

struct LossOutcome {
  LossValue value;
  std::vector<float> embedding_gradients;  // [M, dim], as anchors, as references and through raw rows
  std::vector<float> parameters;           // flat, with padding, then the sharded ones whole
  std::vector<float> parameter_gradients;  // the same, summed over ranks
  std::vector<float> buffers;              // as the run left them
};

/// Raw rows are unit rows times this: a number from 1 to 2.
inline float raw_norm(int64_t id) { return 1 + static_cast<float>(id * 37 % 8) / 8; }

/// A teacher's unit rows, which depend on the ids alone.
inline Tensor teacher_rows(const Tensor& ids, int64_t dim) {
  const Tensor rows(Shape{ids.elements(), dim});
  for (int64_t i = 0; i < ids.elements(); ++i) {
    Random random(31, {static_cast<uint64_t>(ids.data<int64_t>()[i]), 0, 0});
    double square = 0;
    for (int64_t d = 0; d < dim; ++d) {
      const double value = random.normal();
      rows.f32()[i * dim + d] = static_cast<float>(value), square += value * value;
    }
    for (int64_t d = 0; d < dim; ++d) rows.f32()[i * dim + d] /= static_cast<float>(std::sqrt(square));
  }
  return rows;
}

/// A loss with settings. `parameters`: flat values in place of fresh ones.
struct LossCase {
  std::string name;
  std::vector<std::string> settings;
  int64_t tile_bytes = int64_t{1} << 20;  // of scores at once
  const Samples* past = nullptr;          // what a memory bank holds, with weight 0.5; null: no bank
  bool is_slope = true;  // false: the loss keeps its gradient out of a part of its value by design

  std::string text() const { return concat(name, " ", join(settings, " ")); }

  LossOutcome run(const Samples& samples, int ranks = 1, double weight = 1,
                  const std::vector<float>& parameters = {}) const {
    LossOutcome outcome;
    outcome.embedding_gradients.resize(samples.embeddings.size());
    std::vector<LossValue> values(static_cast<size_t>(ranks));
    run_thread_ranks(ranks, [&](Communicator& communicator) {
      const std::unique_ptr<Stream> stream = make_stream({});
      values[static_cast<size_t>(communicator.rank())] =
          run_rank(*stream, communicator, samples, weight, parameters, outcome);
    });
    outcome.value = values[0];
    for (const LossValue& value : values) {  // what every rank sees must be the same, to the bit
      const bool both_nan = std::isnan(value.loss) && std::isnan(values[0].loss);
      if (!both_nan && value.loss != values[0].loss) fail(text(), ": ranks see different losses");
    }
    return outcome;
  }

 private:
  LossValue run_rank(Stream& stream, Communicator& communicator, const Samples& samples, double weight,
                     const std::vector<float>& parameters, LossOutcome& outcome) const {
    const int64_t rank = communicator.rank(), rows = samples.count() / communicator.size(), dim = samples.dim;
    const std::unique_ptr<Loss> loss = loss_registry().get(name).make.make(loss_options(settings));
    ParameterSet set(communicator.rank(), communicator.size());
    loss->declare(set, static_cast<int>(dim), samples.classes);
    set.freeze(stream);
    set.initialize(5);
    if (!parameters.empty()) set_parameters(set, parameters);

    const Tensor embeddings(Shape{rows, dim}), labels(Shape{rows}, DType::i64), ids(Shape{rows}, DType::i64);
    std::copy_n(samples.embeddings.begin() + rank * rows * dim, rows * dim, embeddings.f32());
    std::copy_n(samples.labels.begin() + rank * rows, rows, labels.data<int64_t>());
    std::copy_n(samples.ids.begin() + rank * rows, rows, ids.data<int64_t>());
    const Tensor all(Shape{samples.count(), dim}), all_labels(Shape{samples.count()}, DType::i64);
    const Tensor all_ids(Shape{samples.count()}, DType::i64);
    communicator.all_gather(stream, embeddings, all);
    communicator.all_gather(stream, labels, all_labels);
    communicator.all_gather(stream, ids, all_ids);

    const Tensor anchors(Shape{rows, dim}), references(Shape{samples.count(), dim}), share(Shape{rows, dim});
    const Tensor raw(Shape{rows, dim}), all_raw(Shape{samples.count(), dim});
    for (int64_t i = 0; i < rows * dim; ++i)
      raw.f32()[i] = embeddings.f32()[i] * raw_norm(ids.data<int64_t>()[i / dim]);
    communicator.all_gather(stream, raw, all_raw);
    const Tensor raw_anchors(Shape{rows, dim}), raw_references(Shape{samples.count(), dim}),
        raw_share(Shape{rows, dim});

    EmbeddingBatch batch{embeddings, labels, ids, all, all_labels, all_ids, rank * rows};
    batch.seed = 6, batch.step = 7, batch.tile_bytes = tile_bytes;
    batch.raw = raw, batch.all_raw = all_raw;
    batch.teacher = teacher_rows(ids, dim), batch.all_teacher = teacher_rows(all_ids, dim);
    std::unique_ptr<MemoryBank> bank;
    if (past != nullptr) {
      const BankSettings held{.size = past->count() + 7, .weight = 0.5};
      bank = std::make_unique<MemoryBank>(held, dim, stream, communicator);
      fill(*bank, *past);
      batch.bank = bank.get();
    }
    const LossValue value =
        loss->run(stream, communicator, batch, {anchors, references, raw_anchors, raw_references}, weight);
    communicator.reduce_scatter(stream, references, share);
    communicator.reduce_scatter(stream, raw_references, raw_share);
    for (int64_t i = 0; i < rows * dim; ++i) {
      const float through_raw = raw_anchors.f32()[i] + raw_share.f32()[i];
      outcome.embedding_gradients[static_cast<size_t>(rank * rows * dim + i)] =
          anchors.f32()[i] + share.f32()[i] + through_raw * raw_norm(ids.data<int64_t>()[i / dim]);
    }
    if (set.count() > 0) collect_parameters(stream, communicator, set, outcome);
    return value;
  }

  static void fill(MemoryBank& bank, const Samples& with) {
    const int64_t count = with.count();
    const Tensor embeddings(Shape{count, with.dim}), labels(Shape{count}, DType::i64),
        ids(Shape{count}, DType::i64);
    std::ranges::copy(with.embeddings, embeddings.f32());
    std::ranges::copy(with.labels, labels.data<int64_t>());
    std::ranges::copy(with.ids, ids.data<int64_t>());
    bank.add(embeddings, labels, ids, 6);
  }

  static void set_parameters(ParameterSet& set, const std::vector<float>& parameters) {
    std::copy_n(parameters.begin(), set.values().elements(), set.values().f32());
    std::span<const float> rest = std::span(parameters).subspan(static_cast<size_t>(set.values().elements()));
    for (const Param param : set.sharded()) {
      const auto size = static_cast<size_t>(set.info(param).file_shape.elements());
      set.set_from_file_layout(param, rest.first(size));
      rest = rest.subspan(size);
    }
  }

  static void collect_parameters(Stream& stream, Communicator& communicator, const ParameterSet& set,
                                 LossOutcome& outcome) {
    GradientReducer(set, communicator, stream).finish();
    std::vector<float> values(set.values().f32(), set.values().f32() + set.values().elements());
    std::vector<float> gradients(set.gradients().f32(), set.gradients().f32() + set.gradients().elements());
    for (const Param param : set.sharded()) {
      const Tensor mine(set.info(param).shape);
      const RowGradients& given = set.row_gradients(param);
      const int64_t width = mine.shape()[1], count = given.rows ? given.rows.elements() : 0;
      for (int64_t i = 0; i < count; ++i) {
        std::copy_n(given.values.f32() + i * width, width,
                    mine.f32() + given.rows.data<int64_t>()[i] * width);
      }
      const int64_t all_rows = set.info(param).file_shape[0];
      std::ranges::copy(gather_rows(stream, communicator, set.value(param), all_rows),
                        std::back_inserter(values));
      std::ranges::copy(gather_rows(stream, communicator, mine, all_rows), std::back_inserter(gradients));
    }
    if (communicator.rank() != 0) return;
    outcome.parameters = values;
    outcome.parameter_gradients = gradients;
    if (set.buffers())
      outcome.buffers.assign(set.buffers().f32(), set.buffers().f32() + set.buffers().elements());
  }
};

/// Every registered loss with its defaults, with every miner where it has one, and with each setting that
/// takes another path through its code.
inline std::vector<LossCase> every_loss() {
  std::vector<LossCase> cases;
  const std::string help = loss_options({}).help_text();
  for (const std::string& name : loss_registry().names()) {
    cases.push_back({name, {}});
    cases.back().is_slope = name != "adaface" && name != "circle_class";
    if (help.find("--" + name + ".miner") == std::string::npos) continue;
    for (const std::string& miner : miner_registry().names()) {
      const LossCase with_miner{name, {concat(name, ".miner=", miner)}};
      if (miner != "soft_weighted" || name == "triplet" || name == "margin_ranking")
        cases.push_back(with_miner);
    }
    cases.push_back({name, {concat(name, ".noise_cap=0.6"), concat(name, ".noise_skip=0.2")}});
  }
  const LossCase more[] = {
      {"triplet", {"triplet.distance=squared", "triplet.reduction=all"}},
      {"triplet", {"triplet.distance=cosine", "triplet.reduction=sum", "triplet.miner=all"}},
      {"triplet", {"triplet.soft=true", "triplet.margin=0", "triplet.miner=all"}},
      {"triplet", {"triplet.miner=semi_hard", "triplet.semi_hard_fallback=none", "triplet.margin=0.8"}},
      {"triplet", {"triplet.miner=soft_weighted", "triplet.soft=true", "triplet.distance=squared"}},
      {"triplet", {"triplet.swap=true", "triplet.margin=0.8"}},
      {"triplet", {"triplet.swap=true", "triplet.miner=all", "triplet.soft=true", "triplet.reduction=sum"}},
      {"triplet", {"triplet.miner=easy_positive", "triplet.easy_positive_negative=hard"}},
      {"triplet_angular", {"triplet_angular.add_absolute=true", "triplet_angular.absolute_weight=0.3"}},
      {"margin_ranking", {"margin_ranking.margin=0.2", "margin_ranking.reduction=sum"}},
      {"contrastive",
       {"contrastive.distance=euclidean", "contrastive.square=true", "contrastive.negative_margin=1.3",
        "contrastive.positive_margin=0.1", "contrastive.reduction=active"}},
      {"contrastive", {"contrastive.distance=squared", "contrastive.reduction=pairs"}},
      {"margin", {"margin.learn_beta=shared", "margin.nu=0.1", "margin.miner=all"}},
      {"margin", {"margin.learn_beta=per_class", "margin.nu=0.1"}},
      {"supcon", {"supcon.temperature=0.2", "supcon.base_temperature=0.1"}},
      {"circle", {"circle.scale=8"}},
      {"arcface", {"arcface.scale=8", "arcface.label_smoothing=0.2"}},
      {"arcface", {"arcface.scale=8", "arcface.easy_margin=true"}},
      {"arcface", {"arcface.scale=8", "arcface.margin=1.5"}},
      {"arcface", {"arcface.scale=8", "arcface.sub_centres=3"}},
      {"arcface", {"arcface.scale=8", "arcface.label_smoothing=0.2", "arcface.sharded=true"}},
      {"arcface",
       {"arcface.scale=8", "arcface.sub_centres=3", "arcface.sharded=true", "arcface.sample_rate=0.3"}},
      {"combined_margin", {"combined_margin.scale=8", "combined_margin.m1=1.35", "combined_margin.m2=1.5"}},
      {"cosface", {"cosface.scale=8", "cosface.sharded=true"}},
      {"circle_class", {"circle_class.scale=8", "circle_class.gradient=exact"}},
      {"softmax", {"softmax.label_smoothing=0.1", "softmax.sharded=true"}},
      {"softmax", {"softmax.raw=false", "softmax.scale=8"}},
      {"proxy_nca", {"proxy_nca.own_in_total=true", "proxy_nca.sharded=true"}},
      {"adaface", {"adaface.scale=8", "adaface.concentration=1e6", "adaface.sharded=true"}},
      {"soft_triple", {"soft_triple.centres=2", "soft_triple.sharded=true"}},
      {"soft_triple", {"soft_triple.centres=1", "soft_triple.tau=0"}},
      {"center", {"center.raw=true"}},
      {"distillation", {"distillation.similarity_weight=0"}, 256},
      {"distillation", {"distillation.cosine_weight=0"}, 256},
  };
  cases.insert(cases.end(), std::begin(more), std::end(more));
  return cases;
}

}  // namespace kindred::test
