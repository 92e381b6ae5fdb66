// kindred-model bench: images a second of a training step and of inference, beside the matrix products of the
// same process: machines are shared, so a speed means little without a measure taken at the same time.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

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

/// Median seconds of a run, after one to warm up; at least three runs.
double median_seconds(double budget_s, const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (double total = 0; total < budget_s || times.size() < 3; total += times.back())
    times.push_back(seconds_of(work));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

/// Multiply-accumulates a second of a square fp32 product that does not fit the caches.
double gemm_rate(Stream& stream, double budget_s) {
  constexpr int64_t n = 1536;
  const Tensor a({n, n}), b({n, n}), c({n, n});
  std::fill_n(a.f32(), n * n, 0.5f);
  std::fill_n(b.f32(), n * n, 0.25f);
  const double seconds = median_seconds(budget_s, [&] {
    gemm(stream, Transpose::no, Transpose::no, n, n, n, 1, a.f32(), n, b.f32(), n, 0, c.f32(), n);
    stream.wait();
  });
  return static_cast<double>(n * n * n) / seconds;
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
  ParameterSet parameters;
  build_model(parameters, config, batch);
  parameters.freeze(stream);
  parameters.initialize(1);
  for (const bool training : {true, false}) {
    Program program(build_model(parameters, config, batch), stream, {.training = training});
    const Tensor image = program.input("image");
    Random random(1, {});
    std::vector<float> pixels(static_cast<size_t>(image.elements()));
    for (float& pixel : pixels) pixel = static_cast<float>(random.uniform(-2, 2));
    stream.copy(image.raw(), pixels.data(), image.bytes());
    const std::string output = config.embedding > 0 ? "embedding" : "logits";
    const std::vector<float> gradient(static_cast<size_t>(program.output(output).elements()), 1e-3f);

    const double rate = gemm_rate(stream, budget_s / 4);
    const double seconds = median_seconds(budget_s, [&] {
      if (training) stream.zero(parameters.gradients());
      program.forward();
      if (training) {
        const Tensor to = program.output_gradient(output);
        stream.copy(to.raw(), gradient.data(), to.bytes());
        program.backward();
      }
      stream.wait();
    });
    // Backward is two products for each of forward's: by the data and by the weights.
    const double macs = static_cast<double>(program.graph().macs()) * (training ? 3 : 1);
    std::printf("%-18s%-7s%6lld%6d%11.1f%12.1f%9.1f%9.1f %%%12s\n", config.arch.c_str(),
                training ? "train" : "infer", static_cast<long long>(batch), config.image.height,
                static_cast<double>(batch) / seconds, 2e-9 * macs / seconds, 2e-9 * rate,
                100 * macs / seconds / rate, bytes_text(program.plan().arena_bytes).c_str());
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
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  if (!(options.get<double>("seconds") >= 0 && options.get<double>("seconds") <= 3600)) {
    fail_usage(options.source("seconds"), ": 'seconds' is ", options.get<double>("seconds"),
               "; expected 0 to 3600");
  }
  const auto stream = make_stream({});
  std::printf("%-18s%-7s%6s%6s%11s%12s%9s%11s%12s\n", "architecture", "mode", "batch", "size", "images/s",
              "GFLOP/s", "gemm", "of gemm", "memory");
  for (const std::string& arch : options.get<std::vector<std::string>>("arch")) bench(options, arch, *stream);
  return 0;
}

}  // namespace kindred
