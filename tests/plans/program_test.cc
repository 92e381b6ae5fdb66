// kindred-train linked to CUDA and cuDNN starts on a machine without a driver, and says what it cannot do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/engine/convolution_plans.h"
#include "common/io/file.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace kindred {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Ended {
  int code = -1;
  std::string output;
};

class CudaProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (!plans_available()) GTEST_SKIP() << "this build has no cuDNN";
  }
  Ended run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), KINDRED_BINARY_DIR "/bin/kindred-train");
    const std::string log = concat(folder_.path().string(), "/", ++runs_, ".log");
    const int code = test::wait_for(test::start(arguments, log));
    return {code, read_file(log)};
  }
  std::string path(const std::string& name) const { return folder_.path().string() + "/" + name; }

 private:
  test::TemporaryFolder folder_;
  int runs_ = 0;
};

TEST_F(CudaProgram, StartsWithoutADriver) {
  const Ended version = run({"--version"});
  EXPECT_EQ(version.code, 0) << version.output;
  EXPECT_THAT(version.output, HasSubstr("cuda on"));
}

TEST_F(CudaProgram, PlansARunForAGpuThatIsNotThere) {
  const Ended dry = run({"--data.train", "nowhere", "--dry-run", "--dry-run-classes", "10", "--model.arch",
                         "pplcnet_x1_0", "--train.precision", "bf16", "--world-size", "8", "--device-json",
                         KINDRED_SOURCE_DIR "/configs/devices/h100.json"});
  EXPECT_EQ(dry.code, 0) << dry.output;
  EXPECT_THAT(dry.output,
              AllOf(HasSubstr("pplcnet_x1_0, 224x224 in bf16; 16 images a rank, 8 ranks"),
                    HasSubstr("cuDNN 9."), HasSubstr("backward_data bf16 x[16,"),
                    HasSubstr("all deterministic"), HasSubstr("fits into"), HasSubstr("images/s")));
}

TEST_F(CudaProgram, RefusesADryRunWithOneLineAndCodeOne) {
  write_file(path("damaged.json"), "{}");
  const Ended damaged = run({"--data.train", "nowhere", "--dry-run", "--dry-run-classes", "10",
                             "--device-json", path("damaged.json")});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.output, HasSubstr("damaged.json: the key 'cudnn' is missing"));

  const Ended turing =
      run({"--data.train", "nowhere", "--dry-run", "--dry-run-classes", "10", "--train.precision", "bf16",
           "--device-json", KINDRED_SOURCE_DIR "/configs/devices/t4.json"});
  EXPECT_EQ(turing.code, 1);
  EXPECT_THAT(turing.output, HasSubstr("Tesla T4 (compute capability 7.5) has no bf16"));
}

TEST_F(CudaProgram, SaysThatItCannotTrainOnAGpuYet) {
  const Ended train = run({"--data.train", "nowhere", "--train.device", "cuda"});
  EXPECT_EQ(train.code, 1);
  EXPECT_THAT(train.output, HasSubstr("this build has no cuda backend yet"));
}

}  // namespace
}  // namespace kindred
