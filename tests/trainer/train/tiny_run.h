// A training run small enough for a test: a few classes of coloured patterns, a narrow network, 32-pixel
// images.
#pragma once

#include <string>
#include <vector>

#include "common/base/options.h"
#include "trainer/train/trainer.h"

namespace kindred {

/// Writes `classes` folders with `images` PNG files each under `folder`; a class is a colour and a stripe
/// direction.
void write_tiny_data(const std::string& folder, int classes, int images);

/// The options of a tiny run over data/ and into run/ of `folder`, with `more` appended ("--train.batch",
/// "8", ...).
std::vector<std::string> tiny_arguments(const std::string& folder, const std::vector<std::string>& more = {});

/// Parsed as kindred-train would.
Options parse_train_options(const std::vector<std::string>& arguments);

/// A stretch of training: loss and gradient norm of each step, and parameters and running statistics.
struct Curve {
  std::vector<double> losses, norms;
  std::vector<float> start, values, buffers;
};
/// What rank 0 sees of `steps` steps taken by `ranks` thread ranks, on one core each.
Curve train_on(int ranks, int steps, const std::string& folder, const std::vector<std::string>& more);

/// |a - b| / |b|.
double relative_distance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace kindred
