// The evaluation as one HTML file: no scripts, nothing fetched, light and dark.
#pragma once

#include <span>
#include <string>

#include "index/evaluate.h"

namespace kindred {

/// `evaluations`: the first is what the page is about, the others are shown beside it. Pictures of
/// `retrievals` are read from disk and embedded. Requires: at least one evaluation.
std::string html_report(std::span<const Evaluation> evaluations, std::span<const Retrieval> retrievals);

}  // namespace kindred
