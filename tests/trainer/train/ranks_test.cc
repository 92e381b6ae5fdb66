// R ranks with batch B train exactly as one rank with R*B: the product's first promise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

// Ranks, and losses with options of theirs behind: "arcface --arcface.sharded".
class Ranks : public ::testing::TestWithParam<std::tuple<int, std::string>> {};

TEST_P(Ranks, TrainAsOneRankWithTheWholeBatch) {
  const auto& [ranks, text] = GetParam();
  const std::string losses = text.substr(0, text.find(" --"));
  test::TemporaryFolder folder;
  write_tiny_data(folder.path().string() + "/data", 8, 10);
  constexpr int kSteps = 20;
  // A fresh network with batch norm multiplies a difference of one rounding by ten every few steps of the
  // usual size, whatever its cause. Small clipped steps keep that out, and a missing or doubled gradient
  // would still show.
  std::vector<std::string> more{"--train.losses",     losses, "--train.lr",    "0.0001",
                                "--train.clip_norm",  "0.3",  "--train.batch", "32",
                                "--model.image_size", "64",   "--model.bnneck"};
  std::ranges::copy(split_words(text.substr(losses.size())), std::back_inserter(more));
  const Curve one = train_on(1, kSteps, folder.path().string(), more),
              many = train_on(ranks, kSteps, folder.path().string(), more);
  double worst_loss = 0;
  for (size_t i = 0; i < kSteps; ++i) {
    worst_loss = std::max(worst_loss, std::abs(one.losses[i] - many.losses[i]) / std::abs(one.losses[i]));
    EXPECT_NEAR(many.norms[i], one.norms[i], (i == 0 ? 1e-4 : 0.1) * one.norms[i]) << "step " << i;
  }
  const double values = relative_distance(many.values, one.values),
               buffers = relative_distance(many.buffers, one.buffers);
  EXPECT_LT(worst_loss, 1e-4);
  EXPECT_LT(values, 1e-4);
  EXPECT_LT(values, 0.05 * relative_distance(one.start, one.values)) << "against how far the values moved";
  EXPECT_LT(buffers, 1e-4);
  EXPECT_NE(one.losses.front(), one.losses.back());
  std::printf(
      "%d ranks, %s: after %d steps the loss differs by %.1e, values by %.1e, running statistics by %.1e "
      "(relative)\n",
      ranks, text.c_str(), kSteps, worst_loss, values, buffers);
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<int, std::string>>& tested) {
  std::string name = concat(std::get<0>(tested.param), "_", std::get<1>(tested.param));
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(EqualOne, Ranks,
                         ::testing::Combine(::testing::Values(2, 4),
                                            ::testing::Values("triplet", "triplet_angular",
                                                              "triplet arcface*0.5",
                                                              "triplet arcface*0.5 --arcface.sharded "
                                                              "--arcface.sample_rate=0.5",
                                                              "softmax*0.1 adaface*0.1")),
                         case_name);

}  // namespace
}  // namespace kindred
