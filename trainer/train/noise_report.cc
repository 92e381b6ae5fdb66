#include "trainer/train/noise_report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "common/base/parallel.h"
#include "common/base/text.h"
#include "common/io/file.h"
#include "common/models/model_file.h"
#include "trainer/train/checkpoint.h"

namespace kindred {

namespace {

constexpr int kNeighbours = 30;  // of each picture that are looked at
constexpr int kNearest = 3;      // of a class that speak for it: one alone may be mislabelled itself

// Sums of the unit vectors of each class.
struct Classes {
  std::vector<double> sums;  // [classes, dim]
  std::vector<int64_t> counts;
  int dim = 0;

  Classes(const EmbeddedSet& set, int64_t classes)
      : sums(static_cast<size_t>(classes * set.dim)), counts(static_cast<size_t>(classes)), dim(set.dim) {
    const auto width = static_cast<size_t>(dim);
    for (size_t i = 0; i < set.labels.size(); ++i) {
      const auto label = static_cast<size_t>(set.labels[i]);
      ++counts[label];
      for (size_t d = 0; d < width; ++d)
        sums[label * width + d] += static_cast<double>(set.vectors[i * width + d]);
    }
  }

  size_t size() const { return counts.size(); }
  double count(size_t c) const { return static_cast<double>(counts[c]); }
  double dot(size_t a, size_t b) const {
    const auto width = static_cast<size_t>(dim);
    double sum = 0;
    for (size_t d = 0; d < width; ++d) sum += sums[a * width + d] * sums[b * width + d];
    return sum;
  }
  /// Mean score of two different pictures of a class of at least two.
  double within(size_t c) const { return (dot(c, c) - count(c)) / (count(c) * (count(c) - 1)); }
  double between(size_t a, size_t b) const { return dot(a, b) / (count(a) * count(b)); }
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Fills twins and the usual gap. Classes of one picture have no inside: the others' median stands in for it.
void find_twins(const Classes& classes, NoiseReport& report) {
  const size_t n = classes.size();
  std::vector<double> within(n, NAN), known;
  for (size_t c = 0; c < n; ++c) {
    if (classes.counts[c] > 1) known.push_back(within[c] = classes.within(c));
  }
  const double usual = median(known);
  for (double& value : within) value = std::isnan(value) ? usual : value;

  std::vector<SuspectTwins> nearest(n);  // of every class its nearest other
  parallel_for(static_cast<int64_t>(n), [&](int64_t index) {
    const auto a = static_cast<size_t>(index);
    double least = INFINITY;
    for (size_t b = 0; b < n; ++b) {
      if (a == b || classes.counts[a] == 0 || classes.counts[b] == 0) continue;
      const double inside = (within[a] + within[b]) / 2, across = classes.between(a, b);
      if (inside - across >= least) continue;
      least = inside - across;
      nearest[a] = {static_cast<int64_t>(std::min(a, b)), static_cast<int64_t>(std::max(a, b)), inside,
                    across};
    }
  });
  std::vector<double> gaps;
  for (const SuspectTwins& pair : nearest)
    if (pair.first != pair.second) gaps.push_back(pair.within - pair.between);
  report.usual_gap = median(gaps);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (const SuspectTwins& pair : nearest) {
    const bool near = pair.within - pair.between < report.usual_gap / 2;
    if (pair.first != pair.second && near && seen.insert({pair.first, pair.second}).second)
      report.twins.push_back(pair);
  }
  std::ranges::sort(report.twins, {}, [](const SuspectTwins& pair) {
    return std::tuple(pair.within - pair.between, pair.first, pair.second);
  });
}

// The mean of a class's best `wanted` scores among a picture's neighbours; what is not there scores no more
// than the last neighbour.
double mean_of_best(const std::vector<float>& scores, size_t wanted, float last) {
  double sum = 0;
  for (size_t i = 0; i < wanted; ++i) sum += static_cast<double>(i < scores.size() ? scores[i] : last);
  return sum / static_cast<double>(wanted);
}

}  // namespace

NoiseReport find_noise(const EmbeddedSet& set, int64_t classes) {
  NoiseReport report;
  report.pictures = static_cast<int64_t>(set.labels.size());
  const Classes sums(set, classes);
  find_twins(sums, report);
  std::set<std::pair<int64_t, int64_t>> twins;
  for (const SuspectTwins& pair : report.twins) twins.insert({pair.first, pair.second});

  const std::vector<Neighbour> all = nearest_neighbours(set.view(), set.view(), kNeighbours);
  for (size_t i = 0; i < set.labels.size(); ++i) {
    const int64_t own = set.labels[i], others = sums.counts[static_cast<size_t>(own)] - 1;
    if (others == 0) {
      ++report.alone;
      continue;
    }
    std::map<int64_t, std::vector<float>> scores;  // of its neighbours by class, nearest first
    float last = -1;
    for (size_t k = i * kNeighbours; k < (i + 1) * kNeighbours && all[k].index >= 0; ++k) {
      scores[set.labels[static_cast<size_t>(all[k].index)]].push_back(all[k].score);
      last = all[k].score;
    }
    const auto wanted = static_cast<size_t>(std::min<int64_t>(kNearest, others));
    SuspectLabel suspect{set.ids[i], own, own, mean_of_best(scores[own], wanted, last), -1};
    for (const auto& [label, of_class] : scores) {
      const bool same = label == own || twins.contains({std::min(label, own), std::max(label, own)});
      if (same || of_class.size() < wanted) continue;
      if (const double mean = mean_of_best(of_class, wanted, last); mean > suspect.other)
        suspect.nearest = label, suspect.other = mean;
    }
    if (suspect.nearest != own && suspect.other > suspect.own) report.labels.push_back(suspect);
  }
  std::ranges::sort(report.labels, {}, [](const SuspectLabel& suspect) {
    return std::pair(suspect.own - suspect.other, suspect.item);
  });
  return report;
}

std::string NoiseReport::text(const Dataset& data, size_t most) const {
  const auto name = [&](int64_t label) { return data.class_names[static_cast<size_t>(label)]; };
  const auto rest = [&](size_t count) {
    return count > most ? concat("  and ", count - most, " more\n") : std::string();
  };
  std::string out = concat("looked at ", pictures, " pictures of ", data.classes(), " classes");
  if (alone > 0) out += concat("; ", alone, " are alone in their class, nothing is said of them");
  out += concat("\n\n", twins.size(), " pairs of classes that may be one (scores inside, across):\n");
  for (size_t i = 0; i < std::min(most, twins.size()); ++i) {
    out += concat("  ", fixed(twins[i].within, 3), "  ", fixed(twins[i].between, 3), "  ",
                  name(twins[i].first), " = ", name(twins[i].second), "\n");
  }
  out += rest(twins.size());
  out +=
      concat("\n", labels.size(), " pictures that may be mislabelled (scores in own class, in the other):\n");
  for (size_t i = 0; i < std::min(most, labels.size()); ++i) {
    const SuspectLabel& it = labels[i];
    out += concat("  ", fixed(it.own, 3), "  ", fixed(it.other, 3), "  ",
                  data.items[static_cast<size_t>(it.item)].path, ": ", name(it.label), " or ",
                  name(it.nearest), "?\n");
  }
  return out + rest(labels.size());
}

Json NoiseReport::to_json(const Dataset& data) const {
  const auto name = [&](int64_t label) { return data.class_names[static_cast<size_t>(label)]; };
  Json json{{"pictures", pictures},   {"classes", data.classes()},     {"alone_in_class", alone},
            {"usual_gap", usual_gap}, {"twin_classes", Json::array()}, {"mislabelled", Json::array()}};
  for (const SuspectTwins& it : twins) {
    json["twin_classes"].push_back({{"first", name(it.first)},
                                    {"second", name(it.second)},
                                    {"score_within", it.within},
                                    {"score_between", it.between}});
  }
  for (const SuspectLabel& it : labels) {
    json["mislabelled"].push_back({{"path", data.items[static_cast<size_t>(it.item)].path},
                                   {"class", name(it.label)},
                                   {"nearest_class", name(it.nearest)},
                                   {"score_own", it.own},
                                   {"score_nearest", it.other}});
  }
  return json;
}

namespace {

std::string trained_model(const TrainConfig& config) {
  if (!config.weights.empty()) return config.weights;
  const std::string model = config.run + "/model.safetensors";
  if (std::filesystem::exists(model)) return model;
  if (const auto checkpoint = newest_checkpoint(config.run + "/checkpoints"))
    return *checkpoint + "/model.safetensors";
  fail(config.run, ": no trained model is there; train first, or name one with --model.weights");
}

}  // namespace

std::string report_noise(const TrainConfig& config, Stream& stream, Communicator& communicator) {
  constexpr int64_t kBatch = 32;     // pictures that a rank embeds at once
  constexpr size_t kMostLines = 50;  // of each kind that people are shown
  const std::string path = trained_model(config);
  const ModelConfig model = read_model_info(path).config;
  if (model.embedding == 0) fail(path, ": a classifier, not a retrieval model");
  ParameterSet parameters;
  build_model(parameters, model, 1);
  parameters.freeze(stream);
  load_weights(path, parameters);
  const Dataset data = load_dataset(config.train_data);
  const EmbeddedSet set = Evaluator(data, model, parameters, stream, communicator, kBatch).embed();
  for (const float value : set.vectors)
    if (!std::isfinite(value)) fail(path, ": gives embeddings that are not finite");
  if (communicator.rank() > 0) return "";
  const NoiseReport report = find_noise(set, data.classes());
  std::error_code error;
  std::filesystem::create_directories(config.run, error);
  if (error) fail(config.run, ": cannot make the folder: ", error.message());
  const std::string file = config.run + "/noise.json";
  write_file(file, json_text(report.to_json(data), 1) + "\n");
  return concat(path, ": ", report.text(data, kMostLines), "\nall of them: ", file, "\n");
}

}  // namespace kindred
