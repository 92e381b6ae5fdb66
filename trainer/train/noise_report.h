// Suspicious labels, from how pictures lie among each other once a network has learned something: pictures
// that lie among another class, and pairs of classes that are one.
#pragma once

#include <string>
#include <vector>

#include "common/base/json.h"
#include "trainer/data/dataset.h"
#include "trainer/train/evaluation.h"
#include "trainer/train/train_options.h"

namespace kindred {

/// A picture that is nearer to another class than to its own.
struct SuspectLabel {
  int64_t item = 0;                // in Dataset::items
  int64_t label = 0, nearest = 0;  // its class, and the class it lies in
  double own = 0, other = 0;       // mean score of its nearest pictures of either
};

/// Two classes nearer to each other than classes of this set are.
struct SuspectTwins {
  int64_t first = 0, second = 0;   // labels
  double within = 0, between = 0;  // mean score of pairs inside the two, and of pairs across
};

struct NoiseReport {
  std::vector<SuspectLabel> labels;  // the most suspicious first
  std::vector<SuspectTwins> twins;
  int64_t pictures = 0,
          alone = 0;     // looked at; and of them the only ones of their class: nothing is said of those
  double usual_gap = 0;  // median over classes of within - between, for the nearest other class

  /// A table of at most `most` lines of each kind, with paths and class names.
  std::string text(const Dataset& data, size_t most) const;
  /// All of it.
  Json to_json(const Dataset& data) const;
};

/// A picture is suspect when its three nearest of another class (or as many as its own class has others, if
/// fewer) score higher on average than those of its own; twin classes do not count as other. Two classes are
/// twins when their gap, within - between, is below half the usual one. O(n^2) time, O(n) memory.
NoiseReport find_noise(const EmbeddedSet& set, int64_t classes);

/// Embeds config.train_data with config.weights or, where that is empty, with the run's model or its newest
/// checkpoint, and writes noise.json into the run. Returns the text for people, "" on ranks that do not
/// write. Throws Error: no trained model is there. Collective.
std::string report_noise(const TrainConfig& config, Stream& stream, Communicator& communicator);

}  // namespace kindred
