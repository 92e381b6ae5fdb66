// kindred-model bench: images a second of a training step and of inference, beside the matrix products of the
// same process: machines are shared, so a speed means little without a measure taken at the same time.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "common/base/option_rules.h"
#include "common/base/philox.h"
#include "common/engine/gemm.h"
#include "common/engine/program.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// A square fp32 product that does not fit the caches.
class Product {
 public:
  static constexpr int64_t kSide = 1536, kMacs = kSide * kSide * kSide;
  explicit Product(Stream& stream) : stream_(stream) {
    std::fill_n(a_.f32(), a_.elements(), 0.5f);
    std::fill_n(b_.f32(), b_.elements(), 0.25f);
  }
  void run() {
    gemm(stream_, Transpose::no, Transpose::no, kSide, kSide, kSide, 1, a_.f32(), kSide, b_.f32(), kSide, 0,
         c_.f32(), kSide);
    stream_.wait();
  }

 private:
  Stream& stream_;
  Tensor a_{{kSide, kSide}}, b_{{kSide, kSide}}, c_{{kSide, kSide}};
};

/// Seconds of the fastest run of each: what else the machine does only ever adds to a time.
struct Fastest {
  double work_s = 0, product_s = 0;
};

/// Runs the two in turn, so that both meet the same neighbours; at least three times, after one run to warm
/// up.
Fastest fastest_of(double budget_s, const std::function<void()>& work, Product& product) {
  constexpr int kLeastRuns = 3;
  work();
  product.run();
  Fastest fastest{1e30, 1e30};
  double total = 0;
  for (int run = 0; run < kLeastRuns || total < budget_s; ++run) {
    const double work_s = seconds_of(work), product_s = seconds_of([&] { product.run(); });
    fastest = {std::min(fastest.work_s, work_s), std::min(fastest.product_s, product_s)};
    total += work_s + product_s;
  }
  return fastest;
}

/// Where the time of a pass went, by kind of op.
void print_ops(Program& program) {
  std::map<std::string, std::pair<double, double>> by_op;
  double total = 0;
  for (const NodeTime& node : program.profile(5)) {
    by_op[node.op].first += node.forward_s, by_op[node.op].second += node.backward_s;
    total += node.forward_s + node.backward_s;
  }
  for (const auto& [op, times] : by_op) {
    std::printf("    %-22s%9.2f ms forward%9.2f ms backward%7.1f %%\n", op.c_str(), times.first * 1e3,
                times.second * 1e3, 100 * (times.first + times.second) / total);
  }
}

void bench(const Options& options, const std::string& arch, Stream& stream) {
  const ModelConfig config = network_config(options, arch);
  const int64_t batch = whole_option(options, "batch", 1, 4096);
  const double budget_s = options.get<double>("seconds");
  const DType precision = precision_option(options);
  ParameterSet parameters;
  build_model(parameters, config, batch);
  parameters.freeze(stream);
  parameters.initialize(1);
  for (const bool training : {true, false}) {
    Program program(build_model(parameters, config, batch), stream,
                    {.training = training, .compute = precision});
    const Tensor image = program.input("image");
    Random random(1, {});
    std::vector<float> pixels(static_cast<size_t>(image.elements()));
    for (float& pixel : pixels) pixel = static_cast<float>(random.uniform(-2, 2));
    stream.copy(image.raw(), pixels.data(), image.bytes());
    const std::string output = config.embedding > 0 ? "embedding" : "logits";
    const std::vector<float> gradient(static_cast<size_t>(program.output(output).elements()), 1e-3f);

    Product product(stream);
    const auto step = [&] {
      if (training) stream.zero(parameters.gradients());
      program.forward();
      if (training) {
        const Tensor to = program.output_gradient(output);
        stream.copy(to.raw(), gradient.data(), to.bytes());
        program.backward();
      }
      stream.wait();
    };
    const auto [seconds, product_seconds] = fastest_of(budget_s, step, product);
    const double rate = static_cast<double>(Product::kMacs) / product_seconds;
    // Backward is two products for each of forward's: by the data and by the weights.
    const double macs = static_cast<double>(program.graph().macs()) * (training ? 3 : 1);
    std::printf("%-18s%-7s%-6s%6lld%6d%11.1f%12.1f%9.1f%9.1f %%%12s\n", config.arch.c_str(),
                training ? "train" : "infer", options.get<std::string>("precision").c_str(),
                static_cast<long long>(batch), config.image.height, static_cast<double>(batch) / seconds,
                2e-9 * macs / seconds, 2e-9 * rate, 100 * macs / seconds / rate,
                bytes_text(program.plan().arena_bytes).c_str());
    if (options.get<bool>("ops")) print_ops(program);
  }
}

}  // namespace

int model_bench(int argc, const char* const* argv) {
  Options options("kindred-model bench",
                  "Measures training steps (forward and backward) and inference on random images.");
  options.positional("arch", "architectures; `kindred-model list` shows all", 1, -1);
  options.add<int64_t>("batch", 16, "images at once");
  options.add<double>("seconds", 2, "to spend on each measurement");
  options.add<bool>("ops", false, "also say where the time went, by kind of op");
  add_network_options(options);
  add_precision_option(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  if (!(options.get<double>("seconds") >= 0 && options.get<double>("seconds") <= 3600)) {
    fail_usage(options.source("seconds"), ": 'seconds' is ", options.get<double>("seconds"),
               "; expected 0 to 3600");
  }
  precision_option(options), whole_option(options, "batch", 1, 4096);  // refused before anything is printed
  const auto stream = make_stream({});
  std::printf("%-18s%-7s%-6s%6s%6s%11s%12s%9s%11s%12s\n", "architecture", "mode", "type", "batch", "size",
              "images/s", "GFLOP/s", "gemm", "of gemm", "memory");
  for (const std::string& arch : options.get<std::vector<std::string>>("arch")) bench(options, arch, *stream);
  return 0;
}

}  // namespace kindred
