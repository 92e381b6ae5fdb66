#include "trainer/train/run_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "common/base/error.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/base/version.h"
#include "common/report/page.h"

namespace kindred {

namespace {

using Points = std::vector<std::pair<double, double>>;  // step, value

// Every numeric key of metrics.jsonl as a curve over the steps.
std::map<std::string, Points> read_curves(std::string_view metrics) {
  std::map<std::string, Points> curves;
  for (size_t begin = 0, end; (end = metrics.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    try {
      const Json line = parse_json(std::string(metrics.substr(begin, end - begin)), "metrics.jsonl");
      const auto step = json_get<double>(line, "step", "metrics.jsonl");
      for (const auto& [key, value] : line.items())
        if (value.is_number()) curves[key].emplace_back(step, value.get<double>());
    } catch (const Error&) {
      break;
    }
  }
  return curves;
}

// At most some 400 points, each the mean of its neighbours: more than a chart has pixels for.
Points thinned(const Points& points) {
  const size_t each = points.size() / 400 + 1;
  Points out;
  for (size_t i = 0; i < points.size(); i += each) {
    const size_t end = std::min(points.size(), i + each);
    double x = 0, y = 0;
    for (size_t j = i; j < end; ++j) x += points[j].first, y += points[j].second;
    const auto n = static_cast<double>(end - i);
    out.emplace_back(x / n, y / n);
  }
  return out;
}

class Charts {
 public:
  explicit Charts(std::map<std::string, Points> curves) : curves_(std::move(curves)) {
    for (const auto& [key, points] : curves_)
      if (!points.empty()) last_step_ = std::max(last_step_, points.back().first);
  }

  /// A chart of the keys that the run has; "" where it has none of them. `shares`: the axis shows 0 to 1.
  std::string draw(std::string_view title, const std::vector<std::pair<std::string, std::string>>& keys,
                   bool shares = false, bool dots = false) const {
    std::vector<ChartSeries> series;
    double low = INFINITY, high = -INFINITY;
    for (const auto& [key, name] : keys) {
      const auto found = curves_.find(key);
      if (found == curves_.end() || series.size() == kMostSeries) continue;
      series.push_back({name, thinned(found->second), dots});
      for (const auto& [x, y] : series.back().points) low = std::min(low, y), high = std::max(high, y);
    }
    if (series.empty()) return "";
    const ChartAxis y = shares ? round_axis("", 0, 1) : round_axis("", std::min(0.0, low), high);
    return chart_panel(line_chart(title, round_axis("step", 0, last_step_), y, series), series);
  }

  std::vector<std::pair<std::string, std::string>> losses() const {
    std::vector<std::pair<std::string, std::string>> keys{{"loss", "weighted sum"}};
    for (const auto& [key, points] : curves_)
      if (key.starts_with("loss ")) keys.emplace_back(key, key.substr(5));
    if (keys.size() == 2) keys.erase(keys.begin());  // one loss is its own sum
    return keys;
  }

  /// The last value of a curve, or NaN.
  double last(const std::string& key) const {
    const auto found = curves_.find(key);
    return found == curves_.end() ? NAN : found->second.back().second;
  }
  double last_step() const { return last_step_; }

 private:
  std::map<std::string, Points> curves_;
  double last_step_ = 0;
};

std::string cards(const Charts& charts) {
  std::string out = "<div class=\"cards\">\n";
  const auto add = [&](const std::string& key, double scale, int decimals, std::string_view unit,
                       std::string_view name) {
    const double value = charts.last(key);
    if (std::isfinite(value)) out += card(concat(fixed(scale * value, decimals), unit), name);
  };
  add("recall_at_1", 100, 1, " %", "Recall@1 on the validation set");
  add("map_at_r", 100, 1, " %", "MAP@R on the validation set");
  add("tpr_at_fpr_0.01", 100, 1, " %", "true positives at 1 % false positives");
  add("loss", 1, 4, "", "loss");
  add("images_per_s", 1, 0, "", "images/s");
  return out + "</div>\n";
}

}  // namespace

std::string run_report(std::string_view name, std::string_view metrics) {
  const Charts charts(read_curves(metrics));
  std::string body = concat("<h1>", escape_html(name), "</h1>\n");
  if (charts.last_step() == 0) {
    body += "<p class=\"soft\">No step has been logged yet.</p>\n";
  } else {
    body += concat("<p class=\"soft\">After ", charts.last_step(), " steps.</p>\n", cards(charts));
  }
  body += "<h2>Over the steps</h2>\n<div class=\"charts\">\n";
  body += charts.draw("Loss", charts.losses());
  body += charts.draw("Validation",
                      {{"recall_at_1", "Recall@1"},
                       {"map_at_r", "MAP@R"},
                       {"tpr_at_fpr_0.01", "TPR at FPR 1 %"},
                       {"equal_error_rate", "equal error rate"}},
                      true, true);
  body += charts.draw("Hardest pairs: the gap is what is learned",
                      {{"hardest_positive", "hardest positive score"},
                       {"hardest_negative", "hardest negative score"},
                       {"embedding_spread", "embedding spread"}});
  body += charts.draw("Shares",
                      {{"active_fraction", "active pairs"}, {"waiting_for_data", "waiting for data"}}, true);
  body += charts.draw("Gradient norm", {{"gradient_norm", "before clipping"}});
  body += charts.draw("Learning rate", {{"learning_rate", "learning rate"}});
  body += charts.draw("Speed", {{"images_per_s", "images/s"}});
  return html_page(name, body + "</div>\n", concat("Written by kindred-train ", kVersion, "."));
}

}  // namespace kindred
