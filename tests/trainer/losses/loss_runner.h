// Runs a registered loss on any number of thread ranks, as the trainer does. In a header alone, so that the
// test program of the losses has it.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "trainer/dist/reducer.h"
#include "trainer/dist/thread_ranks.h"
#include "trainer/losses/loss.h"
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
  std::vector<float> embedding_gradients;  // [M, dim], as anchors and as references
  std::vector<float> parameters;           // flat, with padding
  std::vector<float> parameter_gradients;  // the same, summed over ranks
};

/// A loss with settings. `parameters`: flat values in place of fresh ones.
struct LossCase {
  std::string name;
  std::vector<std::string> settings;
  int64_t tile_bytes = int64_t{1} << 20;  // of scores at once

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
    ParameterSet set;
    loss->declare(set, static_cast<int>(dim), samples.classes);
    set.freeze(stream);
    set.initialize(5);
    if (!parameters.empty()) std::ranges::copy(parameters, set.values().f32());

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
    EmbeddingBatch batch{embeddings, labels, ids, all, all_labels, all_ids, rank * rows};
    batch.seed = 6, batch.step = 7, batch.tile_bytes = tile_bytes;
    const LossValue value = loss->run(stream, communicator, batch, {anchors, references}, weight);
    communicator.reduce_scatter(stream, references, share);
    for (int64_t i = 0; i < rows * dim; ++i) {
      outcome.embedding_gradients[static_cast<size_t>(rank * rows * dim + i)] =
          anchors.f32()[i] + share.f32()[i];
    }
    if (set.count() > 0) {
      GradientReducer(set, communicator, stream).finish();
      if (rank == 0) {
        const Tensor now = set.values(), gradients = set.gradients();
        outcome.parameters.assign(now.f32(), now.f32() + now.elements());
        outcome.parameter_gradients.assign(gradients.f32(), gradients.f32() + gradients.elements());
      }
    }
    return value;
  }
};

/// Every registered loss with its defaults, with every miner where it has one, and with each setting that
/// takes another path through its code.
inline std::vector<LossCase> every_loss() {
  std::vector<LossCase> cases;
  const std::string help = loss_options({}).help_text();
  for (const std::string& name : loss_registry().names()) {
    cases.push_back({name, {}});
    if (help.find("--" + name + ".miner") == std::string::npos) continue;
    for (const std::string& miner : miner_registry().names()) {
      cases.push_back({name, {concat(name, ".miner=", miner)}});
    }
  }
  const LossCase more[] = {
      {"triplet", {"triplet.distance=squared", "triplet.reduction=all"}},
      {"triplet", {"triplet.distance=cosine", "triplet.reduction=sum", "triplet.miner=all"}},
      {"triplet", {"triplet.soft=true", "triplet.margin=0", "triplet.miner=all"}},
      {"triplet", {"triplet.miner=semi_hard", "triplet.semi_hard_fallback=none", "triplet.margin=0.8"}},
      {"triplet_angular", {"triplet_angular.add_absolute=true", "triplet_angular.absolute_weight=0.3"}},
      {"arcface", {"arcface.scale=8", "arcface.label_smoothing=0.2"}},
      {"arcface", {"arcface.scale=8", "arcface.easy_margin=true"}},
      {"arcface", {"arcface.scale=8", "arcface.margin=1.5"}},
  };
  cases.insert(cases.end(), std::begin(more), std::end(more));
  return cases;
}

}  // namespace kindred::test
