// An evaluation as JSON, back, and as a table.
#include <algorithm>
#include <cmath>
#include <limits>

#include "index/evaluate.h"

namespace kindred {

namespace {

// JSON has no infinity: the ROC's first threshold ("accept nothing") is written as null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double threshold_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::infinity() : json.get<double>();
}

std::string percent(double share) { return fixed(100 * share, 2) + " %"; }

}  // namespace

Json to_json(const Evaluation& evaluation) {
  const RetrievalMetrics& retrieval = evaluation.retrieval;
  const VerificationMetrics& verification = evaluation.verification;
  Json recall = Json::object();
  for (const auto& [k, value] : retrieval.recall_at_k) recall[std::to_string(k)] = value;
  Json points = Json::array(), roc = Json::array();
  for (const OperatingPoint& point : verification.at_fpr)
    points.push_back({{"target_fpr", point.target_fpr},
                      {"threshold", number(point.threshold)},
                      {"achieved_fpr", point.achieved_fpr},
                      {"true_positive_rate", point.true_positive_rate},
                      {"false_accepts", point.false_accepts}});
  for (const RocPoint& point : verification.roc)
    roc.push_back({number(point.threshold), point.true_positive_rate, point.false_positive_rate});
  return {{"name", evaluation.name},
          {"dim", evaluation.dim},
          {"queries", evaluation.queries},
          {"gallery", evaluation.gallery},
          {"classes", evaluation.classes},
          {"unlabelled", evaluation.unlabelled},
          {"leave_one_out", evaluation.leave_one_out},
          {"retrieval",
           {{"recall_at_k", recall},
            {"mean_average_precision", retrieval.mean_average_precision},
            {"map_at_r", retrieval.map_at_r},
            {"r_precision", retrieval.r_precision},
            {"queries", retrieval.queries},
            {"queries_without_match", retrieval.queries_without_match}}},
          {"verification",
           {{"positive_pairs", verification.positive_pairs},
            {"negative_pairs", verification.negative_pairs},
            {"auc", verification.auc},
            {"equal_error_rate", verification.equal_error_rate},
            {"equal_error_threshold", number(verification.equal_error_threshold)},
            {"at_fpr", points},
            {"roc_columns", {"threshold", "true_positive_rate", "false_positive_rate"}},
            {"roc", roc},
            {"positive_histogram", verification.positive_histogram},
            {"negative_histogram", verification.negative_histogram}}}};
}

Evaluation evaluation_from_json(const Json& json, const std::string& what) {
  Evaluation out;
  out.name = json_get<std::string>(json, "name", what);
  out.dim = json_get<int>(json, "dim", what);
  out.queries = json_get<int64_t>(json, "queries", what);
  out.gallery = json_get<int64_t>(json, "gallery", what);
  out.classes = json_get<int64_t>(json, "classes", what);
  out.unlabelled = json_get<int64_t>(json, "unlabelled", what);
  out.leave_one_out = json_get<bool>(json, "leave_one_out", what);

  const Json retrieval = json_get<Json>(json, "retrieval", what);
  const Json recall = json_get<Json>(retrieval, "recall_at_k", what);
  for (const auto& [k, value] : recall.items()) {
    if (!value.is_number()) fail(what, ": recall at ", k, " is no number");
    out.retrieval.recall_at_k[static_cast<int>(parse_int(k, concat(what, ": recall_at_k")))] =
        value.get<double>();
  }
  out.retrieval.mean_average_precision = json_get<double>(retrieval, "mean_average_precision", what);
  out.retrieval.map_at_r = json_get<double>(retrieval, "map_at_r", what);
  out.retrieval.r_precision = json_get<double>(retrieval, "r_precision", what);
  out.retrieval.queries = json_get<int64_t>(retrieval, "queries", what);
  out.retrieval.queries_without_match = json_get<int64_t>(retrieval, "queries_without_match", what);

  const Json verification = json_get<Json>(json, "verification", what);
  VerificationMetrics& metrics = out.verification;
  metrics.positive_pairs = json_get<int64_t>(verification, "positive_pairs", what);
  metrics.negative_pairs = json_get<int64_t>(verification, "negative_pairs", what);
  metrics.auc = json_get<double>(verification, "auc", what);
  metrics.equal_error_rate = json_get<double>(verification, "equal_error_rate", what);
  metrics.positive_histogram = json_get<std::vector<int64_t>>(verification, "positive_histogram", what);
  metrics.negative_histogram = json_get<std::vector<int64_t>>(verification, "negative_histogram", what);
  try {
    metrics.equal_error_threshold = threshold_of(verification.at("equal_error_threshold"));
    for (const Json& point : verification.at("at_fpr"))
      metrics.at_fpr.push_back({point.at("target_fpr").get<double>(), threshold_of(point.at("threshold")),
                                point.at("achieved_fpr").get<double>(),
                                point.at("true_positive_rate").get<double>(),
                                point.at("false_accepts").get<int64_t>()});
    for (const Json& point : verification.at("roc"))
      metrics.roc.push_back(
          {threshold_of(point.at(0)), point.at(1).get<double>(), point.at(2).get<double>()});
  } catch (const Json::exception& error) {
    fail(what, ": verification: ", error.what());
  }
  return out;
}

std::string text(std::span<const Evaluation> evaluations) {
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](const std::string& head, const auto& cell) {
    rows.push_back({head});
    for (const Evaluation& one : evaluations) rows.back().push_back(cell(one));
  };
  row("", [](const Evaluation& one) { return one.name; });
  row("dimensions", [](const Evaluation& one) { return concat(one.dim); });
  row("queries x gallery", [](const Evaluation& one) {
    return one.leave_one_out ? concat(one.queries, ", one out") : concat(one.queries, " x ", one.gallery);
  });
  for (const int k : {1, 5, 10})
    row(concat("Recall@", k), [k](const Evaluation& one) {
      const auto found = one.retrieval.recall_at_k.find(k);
      return found == one.retrieval.recall_at_k.end() ? "-" : percent(found->second);
    });
  row("mAP", [](const Evaluation& one) { return percent(one.retrieval.mean_average_precision); });
  row("MAP@R", [](const Evaluation& one) { return percent(one.retrieval.map_at_r); });
  for (const double target : kTargetFprs)
    row(concat("TPR at FPR ", 100 * target, " %"), [target](const Evaluation& one) {
      for (const OperatingPoint& point : one.verification.at_fpr)
        if (point.target_fpr == target)
          return concat(percent(point.true_positive_rate), " (", point.false_accepts, " false)");
      return std::string("-");
    });
  row("ROC AUC", [](const Evaluation& one) { return fixed(one.verification.auc, 4); });
  row("EER", [](const Evaluation& one) { return percent(one.verification.equal_error_rate); });

  std::string out;
  for (const auto& cells : rows) {
    for (size_t column = 0; column < cells.size(); ++column) {
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[column].size());
      const std::string space(width - cells[column].size(), ' ');
      out += column == 0 ? cells[column] + space : "  " + space + cells[column];
    }
    out += '\n';
  }
  return out;
}

}  // namespace kindred
