// Option train.losses: what it may hold, and what is said about the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/losses/loss_runner.h"

namespace kindred::test {
namespace {

using testing::HasSubstr;

std::string error_of(const std::vector<std::string>& words, const std::vector<std::string>& settings = {}) {
  try {
    make_losses(words, loss_options(settings));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(MakeLosses, ReadsNamesAndWeights) {
  const auto losses = make_losses({"triplet", "arcface*0.5"}, loss_options({}));
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(losses[0].second, 1);
  EXPECT_EQ(losses[1].second, 0.5);
}

TEST(MakeLosses, NamesTheNearestLoss) {
  EXPECT_THAT(error_of({"tripplet"}), HasSubstr("unknown loss 'tripplet'; did you mean 'triplet'?"));
}

TEST(MakeLosses, RefusesBadWeights) {
  for (const char* word :
       {"triplet*", "triplet*x", "triplet*0", "triplet*-1", "triplet*nan", "triplet*1*2"}) {
    EXPECT_THAT(error_of({word}), HasSubstr(word)) << word;
  }
}

TEST(MakeLosses, RefusesNoneAndTwins) {
  EXPECT_THAT(error_of({}), HasSubstr("no loss is named"));
  EXPECT_THAT(error_of({"triplet", "triplet*2"}), HasSubstr("named twice"));
}

TEST(MakeLosses, ChecksOptionValues) {
  EXPECT_THAT(error_of({"triplet"}, {"triplet.margin=-1"}),
              HasSubstr("triplet.margin must be at least 0; found -1"));
  EXPECT_THAT(error_of({"triplet"}, {"triplet.distance=euclidian"}), HasSubstr("did you mean 'euclidean'"));
  EXPECT_THAT(error_of({"triplet"}, {"triplet.miner=batch_hart"}), HasSubstr("did you mean 'batch_hard'"));
  EXPECT_THAT(error_of({"arcface"}, {"arcface.margin=2"}), HasSubstr("arcface.margin must be in [0, pi/2)"));
}

}  // namespace
}  // namespace kindred::test
