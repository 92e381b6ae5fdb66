// Self-contained HTML pages: the frame and the few elements that the reports of training and evaluation
// share.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/report/chart.h"

namespace kindred {

/// As many series as a chart has colours for.
inline constexpr size_t kMostSeries = 6;

/// The whole page around `body` (HTML). title and footer are plain text.
std::string html_page(std::string_view title, std::string_view body, std::string_view footer);

/// A number with its name under it; both are HTML. Cards stand in <div class="cards">.
std::string card(std::string_view value, std::string_view name);

/// A chart with its legend in a frame. Panels stand in <div class="charts">.
std::string chart_panel(const std::string& chart, std::span<const ChartSeries> series);

}  // namespace kindred
