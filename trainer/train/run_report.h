// A run in pictures: report.html in the run's folder, drawn from metrics.jsonl.
#pragma once

#include <string>
#include <string_view>

namespace kindred {

/// One self-contained page: the losses, mining and validation over the steps.
/// name: of the run. metrics: the text of its metrics.jsonl; a line that cannot be read ends it. A run
/// without lines gives a page that says so.
std::string run_report(std::string_view name, std::string_view metrics);

}  // namespace kindred
