#include "index/report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>

#include "common/base/version.h"
#include "common/report/page.h"
#include "index/thumbnails.h"

namespace kindred {

namespace {

constexpr int kThumbnail = 104;

std::string percent(double share, int decimals = 1) { return fixed(100 * share, decimals) + " %"; }

std::optional<double> recall(const Evaluation& one, int k) {
  const auto found = one.retrieval.recall_at_k.find(k);
  return found == one.retrieval.recall_at_k.end() ? std::nullopt : std::optional(found->second);
}

const OperatingPoint* point_at(const Evaluation& one, double target) {
  for (const OperatingPoint& point : one.verification.at_fpr)
    if (point.target_fpr == target) return &point;
  return nullptr;
}

std::optional<double> tpr_at(const Evaluation& one, double target) {
  const OperatingPoint* point = point_at(one, target);
  return point == nullptr ? std::nullopt : std::optional(point->true_positive_rate);
}

std::string head(const Evaluation& main) {
  std::string out =
      concat("<h1>", escape_html(main.name), "</h1>\n<p class=\"soft\">", main.queries, " queries ");
  out += main.leave_one_out ? "against all the others" : concat("against ", main.gallery, " pictures");
  out += concat(", ", main.classes, " classes, ", main.dim, " dimensions");
  if (main.retrieval.queries_without_match > 0)
    out += concat("; ", main.retrieval.queries_without_match,
                  " queries have no picture of their class to find and count nowhere");
  if (main.unlabelled > 0) out += concat("; ", main.unlabelled, " pictures without a label were left out");
  out += "</p>\n<div class=\"cards\">\n";
  out += card(percent(recall(main, 1).value_or(0)), "Recall@1: the nearest is of the same class");
  out += card(percent(main.retrieval.mean_average_precision), "mean average precision");
  if (const auto tpr = tpr_at(main, 1e-2))
    out += card(percent(*tpr), "true positives at 1 % false positives");
  out += card(percent(main.verification.equal_error_rate), "equal error rate");
  return out + "</div>\n";
}

// A row of the comparison: its best value is set off. `sign`: +1 when more is better, -1 when less is.
std::string table_row(std::span<const Evaluation> all, const std::string& name, int sign,
                      const std::function<std::optional<double>(const Evaluation&)>& value,
                      const std::function<std::string(double)>& text) {
  std::optional<double> best;
  for (const Evaluation& one : all)
    if (const auto v = value(one); v && (!best || sign * *v > sign * *best)) best = v;
  std::string out = concat("<tr><td>", name, "</td>");
  for (const Evaluation& one : all) {
    const auto v = value(one);
    out += all.size() > 1 && v && *v == *best ? "<td class=\"best\">" : "<td>";
    out += (v ? text(*v) : "–") + "</td>";
  }
  return out + "</tr>\n";
}

std::string comparison(std::span<const Evaluation> all) {
  const auto two = [](double share) { return percent(share, 2); };
  std::string out = "<h2>In numbers</h2>\n<div class=\"panel\"><table>\n<thead><tr><th></th>";
  for (const Evaluation& one : all) out += concat("<th>", escape_html(one.name), "</th>");
  out += "</tr></thead>\n<tbody>\n";
  for (const int k : {1, 5, 10})
    out += table_row(
        all, concat("Recall@", k), 1, [k](const Evaluation& one) { return recall(one, k); }, two);
  out += table_row(
      all, "mAP", 1, [](const Evaluation& one) { return one.retrieval.mean_average_precision; }, two);
  out += table_row(
      all, "MAP@R", 1, [](const Evaluation& one) { return one.retrieval.map_at_r; }, two);
  for (const double target : kTargetFprs)
    out += table_row(
        all, concat("TPR at FPR ", 100 * target, " %"), 1,
        [target](const Evaluation& one) { return tpr_at(one, target); }, two);
  out += table_row(
      all, "ROC AUC", 1, [](const Evaluation& one) { return one.verification.auc; },
      [](double auc) { return fixed(auc, 4); });
  out += table_row(
      all, "Equal error rate", -1, [](const Evaluation& one) { return one.verification.equal_error_rate; },
      two);
  return out + "</tbody></table></div>\n";
}

std::string thresholds(const Evaluation& main) {
  std::string out = concat(
      "<h2>Thresholds</h2>\n<p class=\"soft\">Two pictures count as the same when their cosine reaches the "
      "threshold. Measured over ",
      main.verification.positive_pairs, " pairs of one class and ", main.verification.negative_pairs,
      " of two.</p>\n<div class=\"panel\"><table>\n<thead><tr><th>False positives, at "
      "most</th><th>Threshold</th>"
      "<th>Measured FPR</th><th>False accepts</th><th>TPR</th></tr></thead>\n<tbody>\n");
  for (const OperatingPoint& point : main.verification.at_fpr)
    out += concat("<tr><td>", 100 * point.target_fpr, " %</td><td>", fixed(point.threshold, 4), "</td><td>",
                  percent(point.achieved_fpr, 4), "</td><td>", point.false_accepts, "</td><td>",
                  percent(point.true_positive_rate, 2), "</td></tr>\n");
  return out + "</tbody></table></div>\n";
}

std::string roc_chart(std::span<const Evaluation> all) {
  // Down to the rate of a single false accept: below that the curve has nothing to say.
  double least = 0.1;
  for (const Evaluation& one : all)
    least = std::min(least, 1 / static_cast<double>(std::max<int64_t>(10, one.verification.negative_pairs)));
  ChartAxis x{"false positive rate (logarithmic)",
              std::max(1e-6, std::pow(10, std::floor(std::log10(least)))),
              1,
              true,
              {}};
  for (double tick = x.low; tick < 1.5; tick *= 10) x.ticks.push_back(tick);
  const ChartAxis y{"true positive rate", 0, 1, false, {0, 0.2, 0.4, 0.6, 0.8, 1}};
  std::vector<ChartSeries> series;
  for (const Evaluation& one : all) {
    series.push_back({one.name, {}});
    for (const RocPoint& point : one.verification.roc)
      series.back().points.emplace_back(point.false_positive_rate, point.true_positive_rate);
  }
  return chart_panel(line_chart("ROC: same or not the same", x, y, series), series);
}

std::string recall_chart(std::span<const Evaluation> all) {
  ChartAxis x{"K nearest pictures (logarithmic)", 1, 50, true, {}};
  for (const int k : kRecallAt) x.ticks.push_back(k);
  const ChartAxis y{"Recall@K", 0, 1, false, {0, 0.2, 0.4, 0.6, 0.8, 1}};
  std::vector<ChartSeries> series;
  for (const Evaluation& one : all) {
    series.push_back({one.name, {}, true});
    for (const auto& [k, value] : one.retrieval.recall_at_k) series.back().points.emplace_back(k, value);
  }
  return chart_panel(line_chart("A picture of the class among the K nearest", x, y, series), series);
}

std::string histogram_chart(const Evaluation& main) {
  const auto& genuine = main.verification.positive_histogram;
  const auto& impostor = main.verification.negative_histogram;
  const size_t bins = std::min(genuine.size(), impostor.size());
  size_t first = bins, last = 0;
  for (size_t i = 0; i < bins; ++i)
    if (genuine[i] + impostor[i] > 0) first = std::min(first, i), last = i;
  if (first > last) return "";
  const auto score = [&](size_t edge) {
    return -1 + 2 * static_cast<double>(edge) / static_cast<double>(bins);
  };
  double highest = 0;
  const auto shares = [&](const std::vector<int64_t>& histogram, const std::string& name) {
    ChartSeries series{name, {}, false, true};
    const auto total = static_cast<double>(
        std::max<int64_t>(1, std::accumulate(histogram.begin(), histogram.end(), int64_t{0})));
    for (size_t i = first; i <= last; ++i) {
      const double share = static_cast<double>(histogram[i]) / total;
      highest = std::max(highest, share);
      series.points.emplace_back(score(i), share);  // steps: the bin's share from its lower to its upper edge
      series.points.emplace_back(score(i + 1), share);
    }
    return series;
  };
  const std::vector<ChartSeries> series{shares(genuine, "pairs of one class"),
                                        shares(impostor, "pairs of two classes")};
  ChartAxis x{concat("cosine (", main.name, ")"),
              std::floor(score(first) * 5) / 5,
              std::ceil(score(last + 1) * 5) / 5,
              false,
              {}};
  for (int tick = static_cast<int>(std::lround(x.low * 5)); tick <= static_cast<int>(std::lround(x.high * 5));
       ++tick)
    x.ticks.push_back(tick / 5.0);
  const double step = std::pow(10, std::floor(std::log10(highest))) / 2;
  ChartAxis y{"share of the pairs", 0, std::ceil(highest / step) * step, false, {0}};
  const int every = y.high / step > 8 ? 4 : 1;
  for (int i = every; i * step <= y.high * 1.001; i += every) y.ticks.push_back(i * step);
  std::vector<ChartMark> marks;
  for (const OperatingPoint& point : main.verification.at_fpr)
    if (point.threshold >= x.low && point.threshold <= x.high)
      marks.push_back({point.threshold, concat("FPR ", 100 * point.target_fpr, " %")});
  return chart_panel(line_chart("Scores of pairs, and the thresholds", x, y, series, marks), series);
}

std::string figure(std::string_view kind, const std::string& path, const std::string& caption) {
  return concat("<figure class=\"", kind, "\"><img alt=\"", escape_html(caption), "\" src=\"",
                data_uri(thumbnail(path, kThumbnail, {255, 255, 255})), "\"><figcaption title=\"",
                escape_html(path), "\">", escape_html(caption), "</figcaption></figure>\n");
}

std::string pictures(std::span<const Retrieval> retrievals) {
  if (retrievals.empty()) return "";
  std::string out =
      "<h2>Queries and their nearest pictures</h2>\n<p class=\"soft\">On the left the query. Green frames "
      "are of its "
      "class, red ones are not; the number is the cosine.</p>\n<div class=\"panel\">\n";
  for (const Retrieval& one : retrievals) {
    out += "<div class=\"row\">\n" + figure("query", one.path, one.label);
    for (const Retrieval::Hit& hit : one.hits)
      out += figure(hit.label == one.label ? "right" : "wrong", hit.path,
                    concat(fixed(hit.score, 3), " ", hit.label));
    out += "</div>\n";
  }
  return out + "</div>\n";
}

}  // namespace

std::string html_report(std::span<const Evaluation> evaluations, std::span<const Retrieval> retrievals) {
  KINDRED_ASSERT(!evaluations.empty());
  const Evaluation& main = evaluations[0];
  const std::span drawn = evaluations.first(std::min(kMostSeries, evaluations.size()));
  std::string out = head(main);
  out += comparison(evaluations);
  out += "<h2>In pictures</h2>\n<div class=\"charts\">\n";
  out += roc_chart(drawn) + histogram_chart(main) + recall_chart(drawn) + "</div>\n";
  out += thresholds(main);
  out += pictures(retrievals);
  return html_page(main.name, out,
                   concat("Written by kindred-eval ", kVersion, ". Rates are exact over all pairs."));
}

}  // namespace kindred
