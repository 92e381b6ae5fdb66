// Charts as SVG for a page that brings the style: elements carry the classes "grid", "axis", "label", "mark",
// "line sN", "area sN" (N: the series' number) and no colours of their own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kindred {

/// Text for the content of an element or an attribute in double quotes.
std::string escape_html(std::string_view text);

struct ChartAxis {
  std::string label;
  double low = 0, high = 1;
  bool logarithmic = false;  // requires: low > 0
  std::vector<double> ticks;
};

/// A linear axis around [low, high] whose ends and some 5 ticks are round: 1, 2 or 5 times a power of ten.
/// Equal or infinite ends give an axis around what there is.
ChartAxis round_axis(std::string label, double low, double high);

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool dots = false, filled = false;  // mark every point; fill down to the axis
};

struct ChartMark {
  double x = 0;
  std::string name;
};

/// One <svg> element. Points outside the axes are drawn at their edge. `marks` are vertical lines with a
/// name.
std::string line_chart(std::string_view title, const ChartAxis& x, const ChartAxis& y,
                       std::span<const ChartSeries> series, std::span<const ChartMark> marks = {});

}  // namespace kindred
