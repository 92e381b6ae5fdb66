#include "common/report/page.h"

#include "common/base/text.h"
#include "common/report/style.h"

namespace kindred {

std::string html_page(std::string_view title, std::string_view body, std::string_view footer) {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>",
      escape_html(title), " - Kindred</title>\n<style>", kReportStyle, "</style>\n</head>\n<body>\n<main>\n",
      body, "<footer>", escape_html(footer), "</footer>\n</main>\n</body>\n</html>\n");
}

std::string card(std::string_view value, std::string_view name) {
  return concat("<div class=\"card\"><b>", value, "</b><span>", name, "</span></div>\n");
}

std::string chart_panel(const std::string& chart, std::span<const ChartSeries> series) {
  std::string legend;
  for (size_t i = 0; i < series.size(); ++i)
    legend += concat("<span><i class=\"s", i, "\"></i>", escape_html(series[i].name), "</span>");
  return concat("<div class=\"panel\">", chart, "<div class=\"legend\">", legend, "</div></div>\n");
}

}  // namespace kindred
