#include "common/report/chart.h"

#include <algorithm>
#include <cmath>

#include "common/base/text.h"

namespace kindred {

namespace {

constexpr double kWidth = 560, kHeight = 340, kLeft = 58, kRight = 14, kTop = 34, kBottom = 48;

std::string number(double value) { return fixed(value, 1); }

// A tick's text: 0.2, 50, 1e-5.
std::string tick_text(double value) {
  if (value != 0 && std::abs(value) < 1e-3)
    return concat("1e", static_cast<int>(std::lround(std::log10(value))));
  return concat(value);
}

class Plot {
 public:
  Plot(const ChartAxis& x, const ChartAxis& y) : x_(x), y_(y) {}
  double x(double value) const { return kLeft + share(x_, value) * (kWidth - kLeft - kRight); }
  double y(double value) const { return kHeight - kBottom - share(y_, value) * (kHeight - kTop - kBottom); }

 private:
  static double share(const ChartAxis& axis, double value) {
    const double clamped = std::clamp(value, axis.low, axis.high);
    if (axis.logarithmic) return std::log(clamped / axis.low) / std::log(axis.high / axis.low);
    return (clamped - axis.low) / (axis.high - axis.low);
  }
  const ChartAxis &x_, &y_;
};

std::string line(double x1, double y1, double x2, double y2, std::string_view kind) {
  return concat("<line class=\"", kind, "\" x1=\"", number(x1), "\" y1=\"", number(y1), "\" x2=\"",
                number(x2), "\" y2=\"", number(y2), "\"/>");
}

std::string label(double x, double y, std::string_view anchor, std::string_view text,
                  std::string_view kind = "label") {
  return concat("<text class=\"", kind, "\" x=\"", number(x), "\" y=\"", number(y), "\" text-anchor=\"",
                anchor, "\">", escape_html(text), "</text>");
}

std::string axes(const Plot& plot, const ChartAxis& x, const ChartAxis& y) {
  const double left = plot.x(x.low), right = plot.x(x.high), bottom = plot.y(y.low), top = plot.y(y.high);
  std::string out;
  for (const double tick : x.ticks)
    out += line(plot.x(tick), top, plot.x(tick), bottom, "grid") +
           label(plot.x(tick), bottom + 16, "middle", tick_text(tick));
  for (const double tick : y.ticks)
    out += line(left, plot.y(tick), right, plot.y(tick), "grid") +
           label(left - 8, plot.y(tick) + 4, "end", tick_text(tick));
  out += line(left, bottom, right, bottom, "axis") + line(left, top, left, bottom, "axis");
  out += label((left + right) / 2, kHeight - 10, "middle", x.label);
  out += concat("<text class=\"label\" text-anchor=\"middle\" transform=\"translate(14 ",
                number((top + bottom) / 2), ") rotate(-90)\">", escape_html(y.label), "</text>");
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

ChartAxis round_axis(std::string label, double low, double high) {
  if (!std::isfinite(low)) low = 0;
  if (!std::isfinite(high) || high < low) high = low;
  if (high == low) high = low + std::max(1.0, std::abs(low));
  const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough <= power ? 1 : rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  ChartAxis axis{std::move(label), first * step, last * step, false, {}};
  for (double tick = first; tick <= last; ++tick) axis.ticks.push_back(tick * step);
  return axis;
}

std::string line_chart(std::string_view title, const ChartAxis& x, const ChartAxis& y,
                       std::span<const ChartSeries> series, std::span<const ChartMark> marks) {
  const Plot plot(x, y);
  std::string out =
      concat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"", escape_html(title),
             "\">", label(kLeft, 20, "start", title, "title"), axes(plot, x, y));
  double mark_label = plot.y(y.high) + 12;
  for (const ChartMark& mark : marks) {
    out += line(plot.x(mark.x), plot.y(y.low), plot.x(mark.x), plot.y(y.high), "mark");
    const bool at_right = plot.x(mark.x) > kWidth * 0.75;  // keep the name inside
    out += label(plot.x(mark.x) + (at_right ? -4 : 4), mark_label, at_right ? "end" : "start", mark.name);
    mark_label += 14;
  }
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].points.empty()) continue;
    std::string points;
    for (const auto& [px, py] : series[i].points)
      points += concat(number(plot.x(px)), ",", number(plot.y(py)), " ");
    points.pop_back();
    if (series[i].filled) {
      const std::string base = number(plot.y(y.low));
      out += concat("<polygon class=\"area s", i, "\" points=\"",
                    number(plot.x(series[i].points.front().first)), ",", base, " ", points, " ",
                    number(plot.x(series[i].points.back().first)), ",", base, "\"/>");
    }
    out += concat("<polyline class=\"line s", i, "\" points=\"", points, "\"/>");
    if (series[i].dots)
      for (const auto& [px, py] : series[i].points)
        out += concat("<circle class=\"dot s", i, "\" cx=\"", number(plot.x(px)), "\" cy=\"",
                      number(plot.y(py)), "\" r=\"3.5\"/>");
  }
  return out + "</svg>";
}

}  // namespace kindred
