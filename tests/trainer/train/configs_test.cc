// Every recipe in configs/ can be used, and the README names everything that can be asked for.
#include <gtest/gtest.h>

#include <filesystem>

#include "common/io/file.h"
#include "tests/trainer/train/tiny_run.h"
#include "trainer/data/transform.h"
#include "trainer/losses/loss.h"
#include "trainer/miners/miner.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/schedule.h"

namespace kindred {
namespace {

const std::string kRoot = KINDRED_SOURCE_DIR;

TEST(Configs, AllAreUnderstoodWhole) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot + "/configs")) {
    if (entry.path().extension() != ".conf") continue;
    SCOPED_TRACE(entry.path().string());
    ++found;
    const Options options = parse_train_options({"kindred-train", "--config", entry.path().string()});
    const TrainConfig config = read_train_config(options);
    EXPECT_EQ(make_losses(config.losses, options).size(), config.losses.size());
    EXPECT_NO_THROW(make_transforms(config.augment, options, config.model.image));
    EXPECT_NO_THROW(Schedule(options, 100, 100 * config.epochs));
    EXPECT_EQ(config.batch % config.images_per_class, 0);
  }
  EXPECT_GT(found, 0);
}

TEST(Readme, NamesEverythingThatIsRegistered) {
  const std::string readme = read_file(kRoot + "/README.md");
  const auto expect_named = [&](const std::vector<std::string>& names) {
    EXPECT_FALSE(names.empty());
    for (const std::string& name : names) EXPECT_NE(readme.find("`" + name + "`"), std::string::npos) << name;
  };
  expect_named(loss_registry().names());
  expect_named(miner_registry().names());
  expect_named(optimizer_registry().names());
  expect_named(transform_registry().names());
}

}  // namespace
}  // namespace kindred
