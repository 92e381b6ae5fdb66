#include "common/base/progress.h"

#include <gtest/gtest.h>

namespace kindred {
namespace {

TEST(ProgressText, ShowsCountShareRateTimeLeftAndNote) {
  EXPECT_EQ(progress_text("embedding", "images", 1200, 5000, 310, "loss 0.31"),
            "embedding: 1200/5000 images (24%), 310 images/s, 12s left, loss 0.31");
}

TEST(ProgressText, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(progress_text("embedding", "images", 12, 0, 0, ""), "embedding: 12 images");
}

TEST(ProgressText, ShowsNoTimeLeftWhenDone) {
  EXPECT_EQ(progress_text("training", "steps", 40, 40, 2.5, ""),
            "training: 40/40 steps (100%), 2.50 steps/s");
}

TEST(Progress, WritesAPlainFinalLineWhereThereIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress("embedding", "images", 3, 1);
    progress.advance(1);
    progress.advance(1, "done");
    progress.finish();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("embedding: 3/3 images (100%), ")) << text;
  EXPECT_TRUE(text.ends_with(", done\n")) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos) << "a redrawn line does not belong in a log file";
}

}  // namespace
}  // namespace kindred
