#include "serve/metrics.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>
#include <thread>

namespace kindred {
namespace {

TEST(Metrics, WritesCountersGaugesAndHistograms) {
  Metrics metrics;
  metrics.declare_counter("requests_total", "Requests.");
  metrics.declare_gauge("depth", "Depth.");
  metrics.declare_gauge("asked", "Asked.", [] { return 7.5; });
  metrics.declare_histogram("seconds", "Time.", {0.1, 1});
  metrics.count("requests_total", {{"route", "/a"}, {"code", "200"}});
  metrics.count("requests_total", {{"route", "/a"}, {"code", "200"}}, 2);
  metrics.set("depth", 4);
  metrics.set("depth", 3);
  for (const double value : {0.05, 0.1, 0.5, 7.0}) metrics.observe("seconds", value, {{"stage", "x"}});
  EXPECT_EQ(metrics.text(),
            "# HELP asked Asked.\n# TYPE asked gauge\nasked 7.5\n"
            "# HELP depth Depth.\n# TYPE depth gauge\ndepth 3\n"
            "# HELP requests_total Requests.\n# TYPE requests_total counter\n"
            "requests_total{route=\"/a\",code=\"200\"} 3\n"
            "# HELP seconds Time.\n# TYPE seconds histogram\n"
            "seconds_bucket{stage=\"x\",le=\"0.1\"} 2\nseconds_bucket{stage=\"x\",le=\"1\"} 3\n"
            "seconds_bucket{stage=\"x\",le=\"+Inf\"} 4\nseconds_sum{stage=\"x\"} "
            "7.65\nseconds_count{stage=\"x\"} 4\n");
}

TEST(Metrics, EscapesLabelValues) {
  Metrics metrics;
  metrics.declare_counter("c_total", "Help with \\ and\nline.");
  metrics.count("c_total", {{"l", "a\"b\\c\nd"}});
  EXPECT_NE(metrics.text().find("c_total{l=\"a\\\"b\\\\c\\nd\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics.text().find("# HELP c_total Help with \\\\ and\\nline.\n"), std::string::npos);
}

TEST(Metrics, EveryLineOfTheProcessFollowsTheFormat) {
  Metrics metrics;
  declare_process_metrics(metrics);
  std::istringstream lines(metrics.text());
  const std::regex form(R"((# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{.*\})? (NaN|[+-]Inf|[-+0-9.e]+)))");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(std::regex_match(line, form)) << line;
  EXPECT_GE(count, 9);
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  metrics.declare_counter("c_total", "Count.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) metrics.count("c_total");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(metrics.text().find("c_total 4000\n"), std::string::npos);
}

TEST(MetricsDeathTest, AnUndeclaredNameIsABug) {
  Metrics metrics;
  metrics.declare_gauge("depth", "Depth.");
  EXPECT_DEATH(metrics.count("depth"), "assertion failed");
  EXPECT_DEATH(metrics.set("width", 1), "assertion failed");
}

}  // namespace
}  // namespace kindred
