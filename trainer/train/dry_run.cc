#include "trainer/train/dry_run.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "common/base/option_rules.h"
#include "common/engine/precision.h"
#include "common/engine/roofline.h"
#include "trainer/data/dataset.h"
#include "trainer/train/step_memory.h"

namespace kindred {
namespace {

constexpr int64_t kMostRanks = 1 << 20, kMostImages = 1 << 20, kMostClasses = int64_t{1} << 32;

std::string left(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}
std::string right(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}
std::string milliseconds(double seconds) { return fixed(1e3 * seconds, 2) + " ms"; }

/// What the ranks say to each other in a step, in seconds, as nccl-tests counts bus bandwidth.
/// Source: NVIDIA nccl-tests, doc/PERFORMANCE.md.
struct Communication {
  double gradients = 0, embeddings = 0, statistics = 0;
};

Communication communication(const StepMemory& step, const PlannedRun& run, double bytes_per_s) {
  if (run.ranks == 1) return {};
  const double ranks = run.ranks, part = (ranks - 1) / ranks / bytes_per_s;  // of one gather or scatter
  const double rows = static_cast<double>(run.config.batch), dim = run.config.model.embedding;
  double channels = 0;  // of all batch norms
  for (const Node& node : step.graph().nodes()) {
    if (node.op && node.op->type() == "batch_norm") channels += static_cast<double>(node.shape[-1]);
  }
  const double embeddings = (step.reads_raw() ? 4 : 2) * rows * dim * 4 + 2 * rows * 8;
  const double chunks = static_cast<double>(run.config.accumulate);
  return {.gradients = 2 * part * 4 * static_cast<double>(step.trained_values()),
          .embeddings = part * embeddings,
          .statistics = part * chunks * 4 * (2 * ranks + 4) * channels};
}

std::string plan_table(const StepMemory& step) {
  std::string text = concat(left("convolution", 100), right("uses", 6), right("engine", 8),
                            right("workspace", 12), "  notes\n");
  int64_t workspace = 0;
  int pointwise = 0;
  for (size_t i = 0; i < step.plans().size(); ++i) {
    const auto& [convolution, uses, node] = step.convolutions()[i];
    const PlanFacts& plan = step.plans()[i];
    workspace = std::max(workspace, plan.workspace_bytes);
    pointwise += convolution.pointwise();
    text += concat(left(convolution.text(), 100), right(std::to_string(uses), 6),
                   right(std::to_string(plan.engine), 8), right(bytes_text(plan.workspace_bytes), 12), "  ",
                   join(plan.notes), "\n");
  }
  return text + concat(step.plans().size(), " different convolutions (", pointwise,
                       " of them matrix products over pixels), all deterministic; they share a workspace of ",
                       bytes_text(workspace), "\n");
}

/// The largest batch of a rank, a multiple of `unit`, that `bytes` hold and that has plans; 0 for none.
/// Memory grows with it.
int64_t largest_batch(const PlannedRun& run, int64_t unit, int64_t bytes) {
  const auto fits = [&](int64_t units) {
    try {
      return StepMemory(run, units * unit).total() <= bytes;
    } catch (const Error&) {  // too large for any plan, or for a shape
      return false;
    }
  };
  const int64_t most = kMostImages / unit;
  int64_t good = 0, bad = 1;
  while (bad <= most && fits(bad)) good = bad, bad *= 2;
  bad = std::min(bad, most + 1);
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good * unit;
}

std::string memory_table(const StepMemory& step, const PlannedRun& run) {
  std::string text = "memory of a rank\n";
  for (const auto& [name, bytes] : step.parts())
    text += concat("  ", left(name, 50), right(bytes_text(bytes), 12), "\n");
  text += concat("  ", left("together", 50), right(bytes_text(step.total()), 12), "\n");
  if (!step.left_out().empty()) text += concat("  not counted: ", join(step.left_out()), "\n");
  if (run.device == nullptr) return text;

  const int64_t unit = std::lcm<int64_t>(run.config.images_per_class, run.config.accumulate);
  const int64_t most = largest_batch(run, unit, run.device->memory_bytes);
  text += concat(step.total() <= run.device->memory_bytes ? "fits" : "does not fit", " into the ",
                 bytes_text(run.device->memory_bytes), " of ", run.device->name, "; ");
  if (most == 0) return text + concat("not even a batch of ", unit, " a rank does\n");
  return text +
         concat("the largest batch that does is ", most, " a rank (--train.batch ", most * run.ranks, ")\n");
}

std::string time_table(const StepMemory& step, const PlannedRun& run, double bytes_per_s) {
  const DeviceDescription& device = *run.device;
  const StepTime network = roofline(step.graph(), device);
  const auto chunks = static_cast<double>(run.config.accumulate);
  const double forward = network.forward.seconds * (chunks > 1 ? 2 * chunks : 1);
  const double backward = network.backward.seconds * chunks;
  // Three products of scores; the optimiser reads and writes values and slots, reads and zeroes gradients.
  const double losses = 3 * 2 * step.score_products() / device.f32_flops;
  const double update =
      static_cast<double>(step.trained_values()) * 4 * (4 + 2 * step.optimizer_slots()) / device.bytes_per_s;
  const Communication said = communication(step, run, bytes_per_s);
  const double waiting = std::max(0.0, said.gradients - backward);
  const double total = forward + backward + losses + update + said.embeddings + said.statistics + waiting;

  const auto row = [&](const char* name, double seconds, const std::string& remark) {
    return concat("  ", left(name, 40), right(milliseconds(seconds), 14), remark.empty() ? "" : "  ", remark,
                  "\n");
  };
  const auto bound = [](const PassTime& pass) {
    return concat(fixed(pass.flops * 1e-12, 2), " TFLOP, ", bytes_text(static_cast<int64_t>(pass.bytes)),
                  "; ", fixed(100 * pass.arithmetic_seconds / pass.seconds, 0),
                  " % of it waits for arithmetic");
  };
  std::string text = "time of a step at the device's peak rates (a bound: expect about twice as much)\n";
  text += row("forward", forward, bound(network.forward));
  text += row("backward", backward, bound(network.backward));
  text += row("losses", losses, "");
  text += row("optimizer", update, "");
  if (run.ranks > 1) {
    text += row("gradients over all ranks", said.gradients,
                concat(milliseconds(waiting), " of it outlasts backward"));
    text += row("embeddings over all ranks", said.embeddings, "");
    text +=
        row("batch statistics over all ranks", said.statistics, "without the latency of many small messages");
  }
  return text + row("together", total,
                    concat(fixed(static_cast<double>(run.config.batch) / total, 0), " images/s on ",
                           run.ranks, run.ranks == 1 ? " rank" : " ranks"));
}

}  // namespace

void declare_dry_run_options(Options& options) {
  options.add<bool>(
      "dry-run", false,
      "do not train: print what the run would take on a GPU (plans of convolutions, memory, the "
      "largest batch, a bound on time); needs neither a GPU nor a driver");
  options.add<std::string>("device-json", "",
                           "of a dry run: the GPU, such as configs/devices/h100.json; empty: memory only");
  options.add<int64_t>("world-size", 0, "of a dry run: GPUs, one rank each; 0: as many as it is started on");
  options.add<double>(
      "bus-gb-s", 100,
      "of a dry run: bus bandwidth between ranks in GB/s, as nccl-tests measures it (about 230 for "
      "NVLink of the A100, 370 of the H100, 45 for each 400 Gb/s card between nodes)");
  options.add<int64_t>("dry-run-classes", 0,
                       "of a dry run: classes of the training set; 0: count those of data.train");
}

std::string dry_run(const TrainConfig& given, const Options& options, int ranks) {
  const int64_t world = whole_option(options, "world-size", 0, kMostRanks);
  const double bus_gb_s = options.get<double>("bus-gb-s");
  require_option(options, "bus-gb-s", bus_gb_s > 0 && bus_gb_s <= 1e6, "above 0 and at most 1e6");
  const int64_t classes = whole_option(options, "dry-run-classes", 0, kMostClasses);
  if (world > 0) ranks = static_cast<int>(world);
  if (given.batch % (ranks * given.accumulate) != 0) {
    fail_usage("train.batch is ", given.batch, ", which ", ranks, " ranks in ", given.accumulate,
               " chunks do not divide; it counts the images of all ranks together");
  }
  if (given.batch / ranks > kMostImages)
    fail_usage("train.batch is ", given.batch, ": more than ", kMostImages, " images a rank");
  std::optional<DeviceDescription> device;
  if (const std::string& path = options.get<std::string>("device-json"); !path.empty())
    device = open_device_description(path);

  PlannedRun run{given, options, ranks, classes, device ? &*device : nullptr};
  if (classes == 0) run.classes = load_dataset(given.train_data).classes();
  const StepMemory step(run, given.batch / ranks);
  std::string text =
      concat(given.model.arch, ", ", given.model.image.height, "x", given.model.image.width, " in ",
             precision_text(given.precision), "; ", given.batch / ranks, " images a rank, ", ranks,
             ranks == 1 ? " rank" : " ranks", "; ", run.classes, " classes\n");
  if (!device) {
    return text + memory_table(step, run) +
           "for plans, time and whether it fits, name a GPU: --device-json configs/devices/h100.json\n";
  }
  text += concat(*device, ", ", plans_library(), "\n\n");
  text += plans_available() ? plan_table(step)
                            : "this build has no cuDNN: no plans, and no workspace in the sum; configure "
                              "with -DKINDRED_CUDA=ON\n";
  return text + "\n" + memory_table(step, run) + "\n" + time_table(step, run, 1e9 * bus_gb_s);
}

}  // namespace kindred
