// kindred-train: trains an embedding network on one or many ranks (under mpirun or srun).
#include <cstdio>

#include "common/base/log.h"
#include "common/base/parallel.h"
#include "trainer/dist/mpi.h"
#include "trainer/train/dry_run.h"
#include "trainer/train/noise_report.h"
#include "trainer/train/stop_signal.h"
#include "trainer/train/trainer.h"

namespace {

constexpr int kExitNotFinite = 76, kExitStopped = 77;  // sysexits ends at 78; schedulers restart on 77

int train(int argc, char** argv) {
  using namespace kindred;
  const std::unique_ptr<Communicator> communicator = make_communicator();
  if (communicator->size() > 1) set_log_prefix(concat("rank ", communicator->rank()));
  if (communicator->rank() > 0) set_log_level(LogLevel::warning);
  install_stop_signals();

  try {
    Options options("kindred-train",
                    "Trains an image embedding. Every rank mines its hard negatives among the images of all "
                    "ranks; R ranks with "
                    "a batch of B images each train exactly as one rank with R*B images would.");
    declare_train_options(options);
    if (options.parse(argc, argv) == Options::Outcome::done) return 0;
    const TrainConfig config = read_train_config(options);
    if (options.get<bool>("dry-run")) {
      if (communicator->rank() == 0)
        std::fputs(dry_run(config, options, communicator->size()).c_str(), stdout);
      return 0;
    }

    const int here = local_rank().size;
    set_thread_count(config.threads > 0 ? static_cast<int>(config.threads) : fair_thread_count(here));
    const std::unique_ptr<Stream> stream = make_stream(config.device);
    if (options.get<bool>("report-noise")) {
      std::fputs(report_noise(config, *stream, *communicator).c_str(), stdout);
      return 0;
    }
    Trainer trainer(config, options, *stream, *communicator);
    if (trainer.run() == Trainer::End::stopped) {
      log_info("stopped on request after step ", trainer.steps_done(),
               "; the same command goes on from here");
      return kExitStopped;
    }
    log_info("done: ", config.run, "/model.safetensors");
    return 0;
  } catch (const UsageError& error) {  // the same on every rank: one tells
    if (communicator->size() == 1) throw;
    if (communicator->rank() == 0) log_error(error.what());
    return 2;
  } catch (const NotFinite& error) {
    log_error(error.what());
    return kExitNotFinite;  // the same on every rank
  } catch (const Error& error) {
    if (communicator->size() == 1) throw;
    log_error(error.what());
    abort_all(1);  // the others wait in a collective: end them
  }
}

}  // namespace

int main(int argc, char** argv) {
  return kindred::run_main("kindred-train", [&] { return train(argc, argv); });
}
