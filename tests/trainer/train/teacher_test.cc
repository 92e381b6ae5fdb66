// A student beside a trained model, on the same images.
#include "trainer/train/teacher.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/philox.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/train/tiny_run.h"

namespace kindred {
namespace {

class TeacherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(folder_ / "data", 4, 6);
    train({"--train.stop_after", "2"}, 0);
  }

  // A run, all of it or `steps` steps; the losses of those.
  std::vector<double> train(const std::vector<std::string>& more, int steps) {
    const Options options = parse_train_options(tiny_arguments(folder_.path().string(), more));
    Trainer trainer(read_train_config(options), options, *stream_, *communicator_);
    std::vector<double> losses;
    for (int i = 0; i < steps; ++i) losses.push_back(trainer.step().value.loss);
    if (steps == 0) trainer.run();
    return losses;
  }
  std::vector<std::string> student(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"--train.run",
                                 folder_ / "student",
                                 "--train.losses",
                                 "distillation",
                                 "--distillation.teacher",
                                 model_,
                                 "--data.augment",
                                 ""};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  test::TemporaryFolder folder_;
  const std::string model_ = folder_ / "run/model.safetensors";
  const std::unique_ptr<Stream> stream_ = make_stream({});
  const std::unique_ptr<Communicator> communicator_ = make_self_communicator();
};

TEST_F(TeacherTest, SeesTheStudentsImagesInItsOwnScale) {
  ImageSpec own, plain;
  own.height = own.width = plain.height = plain.width = 32;
  plain.mean = {}, plain.std = {1, 1, 1};
  const Tensor bright(Shape{2, 32, 32, 3}), scaled(Shape{2, 32, 32, 3});
  Random random(4, {0, 0, 0});
  for (int64_t i = 0; i < bright.elements(); ++i) {
    const auto c = static_cast<size_t>(i % 3);
    bright.f32()[i] = static_cast<float>(random.uniform());
    scaled.f32()[i] = (bright.f32()[i] - own.mean[c]) / own.std[c];
  }
  Teacher of_plain(model_, plain, 2, *stream_), of_own(model_, own, 2, *stream_);
  const Tensor a = of_plain.embed(bright), b = of_own.embed(scaled);
  ASSERT_EQ(a.shape(), (Shape{2, 16}));
  double length = 0;
  for (int64_t i = 0; i < a.elements(); ++i) EXPECT_NEAR(a.f32()[i], b.f32()[i], 1e-4);
  for (int64_t i = 0; i < 16; ++i) length += std::pow(static_cast<double>(a.f32()[i]), 2);
  EXPECT_NEAR(length, 1, 1e-5);
}

TEST_F(TeacherTest, RefusesImagesOfAnotherSize) {
  ImageSpec large;
  large.height = large.width = 64;
  EXPECT_THROW(Teacher(model_, large, 2, *stream_), Error);
}

TEST_F(TeacherTest, TheStudentComesNearer) {
  const std::vector<double> losses = train(student(), 12);
  EXPECT_LT(losses.back(), 0.8 * losses.front());
}

TEST_F(TeacherTest, AnotherLengthServesBySimilarityAlone) {
  EXPECT_THROW(train(student({"--model.embedding", "8"}), 1), Error);
  EXPECT_EQ(train(student({"--model.embedding", "8", "--distillation.cosine_weight", "0"}), 1).size(), 1u);
}

TEST_F(TeacherTest, MustBeNamed) { EXPECT_THROW(train(student({"--distillation.teacher", ""}), 1), Error); }

}  // namespace
}  // namespace kindred
