// Charts and pages: what is drawn where, and that names of users cannot break out of the page.
#include <gtest/gtest.h>

#include <cmath>

#include "common/report/page.h"

namespace kindred {
namespace {

TEST(RoundAxis, CoversTheValuesWithRoundTicks) {
  const ChartAxis axis = round_axis("loss", 0.03, 0.87);
  EXPECT_DOUBLE_EQ(axis.low, 0);
  EXPECT_DOUBLE_EQ(axis.high, 1);
  ASSERT_EQ(axis.ticks.size(), 6u);
  EXPECT_DOUBLE_EQ(axis.ticks[1], 0.2);
}

TEST(RoundAxis, IsUsableForOneValueAndForNone) {
  for (const double value : {0.0, -3.0, 1e9, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
    const ChartAxis axis = round_axis("x", value, value);
    EXPECT_LT(axis.low, axis.high) << value;
    EXPECT_GE(axis.ticks.size(), 2u) << value;
  }
}

TEST(LineChart, DrawsAPointWhereItBelongs) {
  const ChartAxis axis{"", 0, 1, false, {0, 1}};
  const std::vector<ChartSeries> series{{"s", {{0, 0}, {1, 1}}}};
  // The plot is 58 to 546 across and 292 down to 34.
  EXPECT_NE(line_chart("t", axis, axis, series).find("points=\"58.0,292.0 546.0,34.0\""), std::string::npos);
}

TEST(LineChart, DrawsPointsOutsideAtTheEdge) {
  const ChartAxis axis{"", 0, 1, false, {}};
  const std::vector<ChartSeries> series{{"s", {{-5, 0}, {1, 7}}}};
  EXPECT_NE(line_chart("t", axis, axis, series).find("points=\"58.0,292.0 546.0,34.0\""), std::string::npos);
}

TEST(HtmlPage, EscapesTheNamesOfUsers) {
  const std::string page = html_page("<script>\"&", "<p>body</p>", "<foot>");
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;&quot;&amp;"), std::string::npos);
  EXPECT_NE(page.find("&lt;foot&gt;"), std::string::npos);
  EXPECT_NE(page.find("<p>body</p>"), std::string::npos);
}

TEST(ChartPanel, NamesEverySeriesInItsColour) {
  const std::vector<ChartSeries> series{{"a<b", {}}, {"c", {}}};
  const std::string panel = chart_panel("<svg/>", series);
  EXPECT_NE(panel.find("<i class=\"s0\"></i>a&lt;b"), std::string::npos);
  EXPECT_NE(panel.find("<i class=\"s1\"></i>c"), std::string::npos);
}

}  // namespace
}  // namespace kindred
