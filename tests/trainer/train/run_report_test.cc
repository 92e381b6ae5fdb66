#include "trainer/train/run_report.h"

#include <gtest/gtest.h>

#include "common/base/text.h"

namespace kindred {
namespace {

TEST(RunReport, DrawsWhatTheRunHasAndNothingElse) {
  const std::string page = run_report("demo",
                                      "{\"step\": 10, \"loss\": 0.5, \"loss triplet\": 0.5}\n"
                                      "{\"step\": 20, \"recall_at_1\": 0.25, \"map_at_r\": 0.125}\n");
  EXPECT_NE(page.find("After 20 steps"), std::string::npos);
  EXPECT_NE(page.find("25.0 %"), std::string::npos);
  EXPECT_NE(page.find(">Loss<"), std::string::npos);
  EXPECT_NE(page.find(">Validation<"), std::string::npos);
  EXPECT_EQ(page.find(">Speed<"), std::string::npos);
}

TEST(RunReport, SaysThatNothingHasBeenLogged) {
  EXPECT_NE(run_report("demo", "").find("No step has been logged"), std::string::npos);
}

TEST(RunReport, ReadsUpToADamagedLine) {
  const std::string page =
      run_report("demo", "{\"step\": 10, \"loss\": 0.5}\n{\"step\": 2\n{\"step\": 30, \"loss\": 1}\n");
  EXPECT_NE(page.find("After 10 steps"), std::string::npos);
}

TEST(RunReport, ThinsALongRun) {
  std::string metrics;
  for (int step = 1; step <= 5000; ++step) metrics += concat("{\"step\": ", step, ", \"loss\": 0.5}\n");
  EXPECT_LT(run_report("demo", metrics).size(), 20000u);
}

}  // namespace
}  // namespace kindred
