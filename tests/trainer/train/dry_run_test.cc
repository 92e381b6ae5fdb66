// The dry run: memory by planning, the largest batch, and refusals. Plans are in every part where the build
// has cuDNN; none of these tests depends on it but the one that says so.
#include "trainer/train/dry_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/engine/planner.h"  // kArenaAlignment
#include "common/engine/program.h"
#include "common/io/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"
#include "trainer/train/step_memory.h"

namespace kindred {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kH100 = KINDRED_SOURCE_DIR "/configs/devices/h100.json";

Options dry_options(std::vector<std::string> more) {
  more.insert(more.begin(), {"--dry-run", "--dry-run-classes", "100"});
  return parse_train_options(tiny_arguments("nowhere", more));
}

std::string report(const std::vector<std::string>& more = {}, int ranks = 1) {
  const Options options = dry_options(more);
  return dry_run(read_train_config(options), options, ranks);
}

std::string refusal(const std::vector<std::string>& more, int ranks = 1) {
  try {
    report(more, ranks);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

int64_t part(const StepMemory& memory, const std::string& name) {
  for (const auto& [known, bytes] : memory.parts()) {
    if (known.find(name) != std::string::npos) return bytes;
  }
  return 0;
}

/// The first number behind `words` in a text.
double number_behind(const std::string& text, const std::string& words) {
  const size_t at = text.find(words);
  if (at == std::string::npos) return -1;
  return std::stod(text.substr(text.find_first_of("0123456789", at + words.size())));
}

TEST(DryRun, WithoutADeviceTellsTheMemory) {
  EXPECT_THAT(report(),
              AllOf(HasSubstr("pplcnet_x0_25, 32x32 in fp32; 16 images a rank, 1 rank; 100 classes"),
                    HasSubstr("memory of a rank"), HasSubstr("--device-json"), Not(HasSubstr("fits into"))));
}

TEST(DryRun, WithADeviceTellsWhetherItFitsAndHowLongItTakes) {
  EXPECT_THAT(report({"--device-json", kH100}),
              AllOf(HasSubstr("NVIDIA H100"), HasSubstr("fits into the 74.5 GiB"),
                    HasSubstr("the largest batch"), HasSubstr("time of a step"),
                    HasSubstr("images/s on 1 rank"), Not(HasSubstr("over all ranks\n"))));
}

TEST(DryRun, PlansOrSaysThatItCannot) {
  const std::string text = report({"--device-json", kH100});
  if (plans_available()) {
    EXPECT_THAT(text, AllOf(HasSubstr("forward f32 x[16,32,32,3]"), HasSubstr("all deterministic")));
  } else {
    EXPECT_THAT(text, HasSubstr("this build has no cuDNN"));
  }
}

TEST(DryRun, CountsClassesOfTheDataWhenNotTold) {
  const test::TemporaryFolder folder;
  write_tiny_data(folder.path().string() + "/data", 3, 2);
  const Options options = parse_train_options(tiny_arguments(folder.path(), {"--dry-run"}));
  EXPECT_THAT(dry_run(read_train_config(options), options, 1), HasSubstr("; 3 classes"));
}

TEST(DryRun, RefusesWhatCannotBe) {
  EXPECT_THAT(refusal({}, 3), AllOf(HasSubstr("train.batch is 16"), HasSubstr("3 ranks")));
  EXPECT_THAT(refusal({"--world-size", "5"}), HasSubstr("5 ranks"));
  EXPECT_THAT(refusal({"--world-size", "-1"}), HasSubstr("'world-size' is -1"));
  EXPECT_THAT(refusal({"--bus-gb-s", "0"}), HasSubstr("bus-gb-s must be above 0"));
  EXPECT_THAT(refusal({"--dry-run-classes", "-5"}), HasSubstr("dry-run-classes"));
  EXPECT_THAT(refusal({"--train.batch", "1099511627776"}), HasSubstr("images a rank"));
  EXPECT_THAT(refusal({"--device-json", "nowhere.json"}), HasSubstr("nowhere.json"));
  const test::TemporaryFolder folder;
  const std::string damaged = folder.path().string() + "/damaged.json";
  write_file(damaged, "{\"cudnn\": {");
  EXPECT_THAT(refusal({"--device-json", damaged}), HasSubstr("damaged.json:1:"));
}

// What is planned is what a program allocates, but for the CPU's scratch.
TEST(DryRun, PlansTheArenaThatAProgramAllocates) {
  for (const char* precision : {"fp32", "bf16"}) {
    const Options options = dry_options({"--train.precision", precision, "--model.arch", "pphgnetv2_b0"});
    const TrainConfig config = read_train_config(options);
    const StepMemory planned({config, options, 1, 100}, 16);

    const auto stream = make_stream({});
    ParameterSet parameters;
    Graph graph = build_model(parameters, config.model, 16);
    parameters.freeze(*stream);
    const Program program(std::move(graph), *stream, {.training = true, .compute = config.precision});
    const PlanReport allocated = program.plan();
    const int64_t arena = part(planned, "arena");
    EXPECT_LE(arena, allocated.arena_bytes);
    EXPECT_GE(arena, allocated.arena_bytes - allocated.scratch_bytes - kArenaAlignment);
  }
}

TEST(DryRun, MemoryFollowsPrecisionOptimizerAndRanks) {
  const auto planned = [](const std::vector<std::string>& more, int ranks = 1) {
    const Options options = dry_options(more);
    const TrainConfig config = read_train_config(options);
    return StepMemory({config, options, ranks, 1000}, 16);
  };
  const StepMemory sgd = planned({}), adamw = planned({"--train.optimizer", "adamw"});
  EXPECT_EQ(part(adamw, "optimizer"), 2 * part(sgd, "optimizer"));
  EXPECT_EQ(part(sgd, "gradients, fp32"), 4 * sgd.trained_values());
  EXPECT_EQ(part(planned({"--train.precision", "bf16"}), "copy in bf16"), 2 * sgd.trained_values());
  EXPECT_EQ(part(sgd, "scores of classes"), 4 * 16 * 1000);
  // Shared out: all anchors against a fourth of the classes, and a fourth of the centres' values.
  const StepMemory sharded = planned({"--arcface.sharded"}, 4);
  EXPECT_EQ(part(sharded, "scores of classes"), 4 * 64 * 250);
  EXPECT_EQ(part(sharded, "class centres"), part(sgd, "class centres") / 4);
  EXPECT_EQ(sgd.trained_values() - sharded.trained_values(), 1000 * 16);
  // In halves: half of the images at once in the network.
  const double share = static_cast<double>(part(planned({"--train.accumulate", "2"}), "arena")) /
                       static_cast<double>(part(sgd, "arena"));
  EXPECT_NEAR(share, 0.5, 0.1);
}

TEST(DryRun, TheLargestBatchFitsAndTheNextDoesNot) {
  const Options options = dry_options({"--device-json", kH100});
  const TrainConfig config = read_train_config(options);
  const DeviceDescription h100 = open_device_description(kH100);
  const std::string text = dry_run(config, options, 1);
  const auto most = static_cast<int64_t>(number_behind(text, "the largest batch that does is"));
  const PlannedRun run{config, options, 1, 100, &h100};
  EXPECT_EQ(most % config.images_per_class, 0);
  EXPECT_LE(StepMemory(run, most).total(), h100.memory_bytes);
  EXPECT_GT(StepMemory(run, most + config.images_per_class).total(), h100.memory_bytes);
}

TEST(DryRun, CommunicationFollowsBandwidthAndRanks) {
  const auto gradients_ms = [](const char* ranks, const char* bus) {
    return number_behind(report({"--device-json", kH100, "--world-size", ranks, "--bus-gb-s", bus}),
                         "gradients over all ranks");
  };
  const Options options = dry_options({});
  const TrainConfig config = read_train_config(options);
  const double bytes = 4 * static_cast<double>(StepMemory({config, options, 1, 100}, 16).trained_values());
  // A ring sends everything twice but for its own part.
  EXPECT_NEAR(gradients_ms("2", "0.1"), 1e3 * bytes / 1e8, 0.01);
  EXPECT_NEAR(gradients_ms("4", "0.2"), 0.75e3 * bytes / 1e8, 0.01);
}

}  // namespace
}  // namespace kindred
