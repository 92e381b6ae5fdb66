#include "tests/trainer/train/tiny_run.h"

#include <cmath>
#include <filesystem>

#include "common/base/parallel.h"
#include "common/base/philox.h"
#include "common/image/decode.h"
#include "common/io/file.h"
#include "trainer/dist/thread_ranks.h"

namespace kindred {

void write_tiny_data(const std::string& folder, int classes, int images) {
  for (int c = 0; c < classes; ++c) {
    const std::string class_folder = concat(folder, "/class", c);
    std::filesystem::create_directories(class_folder);
    for (int i = 0; i < images; ++i) {
      Random random(7, {static_cast<uint64_t>(c), static_cast<uint64_t>(i), 0});
      Image image{40, 40, std::vector<uint8_t>(40 * 40 * 3)};
      const double angle = c * 0.7, phase = random.uniform(0, 6.28), base = 60 + 150.0 * (c % 3) / 2;
      for (int y = 0; y < 40; ++y) {
        for (int x = 0; x < 40; ++x) {
          const double wave = 60 * std::sin(0.6 * (x * std::cos(angle) + y * std::sin(angle)) + phase);
          for (int k = 0; k < 3; ++k) {
            const double value = base + (k == c % 3 ? wave : 0) + random.uniform(-20, 20);
            image.row(y)[x * 3 + k] = static_cast<uint8_t>(std::clamp(value, 0.0, 255.0));
          }
        }
      }
      write_file(concat(class_folder, "/", i, ".png"), encode_png(image));
    }
  }
}

std::vector<std::string> tiny_arguments(const std::string& folder, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"kindred-train",
                                     "--data.train",
                                     folder + "/data",
                                     "--train.run",
                                     folder + "/run",
                                     "--model.arch",
                                     "pplcnet_x0_25",
                                     "--model.image_size",
                                     "32",
                                     "--model.embedding",
                                     "16",
                                     "--train.batch",
                                     "16",
                                     "--train.images_per_class",
                                     "4",
                                     "--train.epochs",
                                     "20",
                                     "--train.losses",
                                     "triplet arcface*0.5",
                                     "--train.optimizer",
                                     "sgd",
                                     "--train.lr",
                                     "0.02",
                                     "--train.log_every",
                                     "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Options parse_train_options(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  Options options("kindred-train", "test");
  declare_train_options(options);
  options.parse(static_cast<int>(argv.size()), argv.data());
  return options;
}

static std::vector<float> copy_of(const Tensor& tensor) {
  if (!tensor) return {};
  return {tensor.f32(), tensor.f32() + tensor.elements()};
}

Curve train_on(int ranks, int steps, const std::string& folder, const std::vector<std::string>& more) {
  const std::vector<std::string> arguments = tiny_arguments(folder, more);
  Curve curve;
  run_thread_ranks(ranks, [&](Communicator& communicator) {
    set_thread_count(1);
    const Options options = parse_train_options(arguments);
    const std::unique_ptr<Stream> stream = make_stream({});
    Trainer trainer(read_train_config(options), options, *stream, communicator);
    if (communicator.rank() == 0) curve.start = copy_of(trainer.parameters().values());
    for (int i = 0; i < steps; ++i) {
      const StepRecord record = trainer.step();
      if (communicator.rank() == 0)
        curve.losses.push_back(record.value.loss), curve.norms.push_back(record.gradient_norm);
    }
    if (communicator.rank() == 0) {
      curve.values = copy_of(trainer.parameters().values());
      curve.buffers = copy_of(trainer.parameters().buffers());
    }
  });
  return curve;
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    size += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace kindred
