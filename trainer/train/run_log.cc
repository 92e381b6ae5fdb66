#include "trainer/train/run_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/progress.h"
#include "common/io/file.h"
#include "common/io/tfevents.h"
#include "trainer/train/run_report.h"

namespace kindred {

namespace {

// The lines of an older metrics.jsonl that belong to steps up to `last_step`; a torn last line is dropped.
std::string kept_lines(const std::string& path, int64_t last_step) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  const std::string text = read_file(path);
  std::string kept;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    try {
      if (json_get<int64_t>(parse_json(line, path), "step", path) <= last_step) kept += line + "\n";
    } catch (const Error&) {
      break;  // what follows a damaged line is not trusted
    }
  }
  return kept;
}

}  // namespace

struct RunLog::Impl {
  Impl(const std::string& folder, int64_t resume_step, int64_t total_steps, int64_t global_batch, int every)
      : run(folder),
        path(folder + "/metrics.jsonl"),
        log_every(every),
        batch(global_batch),
        last_step(total_steps),
        events(folder, resume_step),
        progress("training", "images", total_steps * global_batch, resume_step * global_batch) {
    write_file(path, kept_lines(path, resume_step));
    fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) fail_errno(path, "open");
  }
  ~Impl() { ::close(fd); }

  void append(const Json& record) {
    const std::string line = record.dump() + "\n";
    if (::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail_errno(path, "write");
  }

  const std::string run, path;
  const int log_every;
  const int64_t batch, last_step;
  EventFile events;
  Progress progress;
  int fd = -1;
  double seconds = 0, wait_seconds = 0;  // since the last line
  int64_t steps = 0;
};

RunLog::RunLog(const std::string& folder, bool writes, int64_t resume_step, int64_t total_steps,
               int64_t global_batch, int log_every) {
  if (writes) impl_ = std::make_unique<Impl>(folder, resume_step, total_steps, global_batch, log_every);
}
RunLog::~RunLog() = default;

void RunLog::step(const StepRecord& record) {
  if (!impl_) return;
  Impl& it = *impl_;
  it.seconds += record.seconds;
  it.wait_seconds += record.wait_seconds;
  ++it.steps;
  const LossValue& value = record.value;
  it.progress.advance(it.batch,
                      concat("epoch ", fixed(record.epoch, 2), ", loss ", fixed(value.loss, 4), ", active ",
                             fixed(100 * value.active_fraction, 0), "%, hardest positive ",
                             fixed(value.hardest_positive, 2), " negative ", fixed(value.hardest_negative, 2),
                             ", waiting ", fixed(100 * it.wait_seconds / it.seconds, 0), "%"));
  if (record.step % it.log_every != 0 && record.step != it.last_step) return;

  const double images_per_s = static_cast<double>(it.steps * it.batch) / it.seconds;
  Json line;
  line["step"] = record.step;
  line["epoch"] = record.epoch;
  line["loss"] = value.loss;
  for (const auto& [name, part] : record.parts) line["loss " + name] = part;
  line["active_fraction"] = value.active_fraction;
  line["hardest_positive"] = value.hardest_positive;
  line["hardest_negative"] = value.hardest_negative;
  line["embedding_spread"] = record.spread;
  line["learning_rate"] = record.learning_rate;
  line["gradient_norm"] = record.gradient_norm;
  line["images_per_s"] = images_per_s;
  line["waiting_for_data"] = it.wait_seconds / it.seconds;
  it.append(line);

  std::vector<Scalar> scalars;
  for (const auto& [key, number] : line.items()) {
    if (key != "step") scalars.push_back({"train/" + key, number.get<float>()});
  }
  it.events.write(record.step, scalars);
  it.seconds = it.wait_seconds = 0;
  it.steps = 0;
}

void RunLog::warning(const std::string& text) {
  if (!impl_) return;
  impl_->progress.hide();
  log_warning(text);
}

void RunLog::evaluation(int64_t step, double epoch, const EvaluationResult& result) {
  if (!impl_) return;
  Impl& it = *impl_;
  Json line;
  line["step"] = step;
  line["epoch"] = epoch;
  for (const auto& [k, recall] : result.retrieval.recall_at_k) line[concat("recall_at_", k)] = recall;
  line["mean_average_precision"] = result.retrieval.mean_average_precision;
  line["map_at_r"] = result.retrieval.map_at_r;
  line["auc"] = result.verification.auc;
  line["equal_error_rate"] = result.verification.equal_error_rate;
  for (const OperatingPoint& point : result.verification.at_fpr) {
    line[concat("tpr_at_fpr_", point.target_fpr)] = point.true_positive_rate;
  }
  line["evaluation_seconds"] = result.seconds;
  it.append(line);

  std::vector<Scalar> scalars;
  for (const auto& [key, number] : line.items()) {
    if (key != "step" && key != "epoch") scalars.push_back({"validation/" + key, number.get<float>()});
  }
  it.events.write(step, scalars);
  it.progress.hide();
  log_info("epoch ", fixed(epoch, 2), ": Recall@1 ", fixed(100 * result.retrieval.recall_at_k.at(1), 2),
           "%, MAP@R ", fixed(100 * result.retrieval.map_at_r, 2), "%, TPR at FPR 1% ",
           fixed(100 * result.verification.at_fpr[1].true_positive_rate, 2), "%, EER ",
           fixed(100 * result.verification.equal_error_rate, 2), "% (", result.retrieval.queries,
           " queries, ", fixed(result.seconds, 1), " s)");
}

void RunLog::draw_report() {
  if (impl_) write_file(impl_->run + "/report.html", run_report(impl_->run, read_file(impl_->path)));
}

void RunLog::sync() {
  if (impl_ && ::fsync(impl_->fd) != 0) fail_errno(impl_->path, "fsync");
}

}  // namespace kindred
