#include "trainer/train/stop_signal.h"

#include <csignal>
#include <initializer_list>

namespace kindred {

namespace {
volatile std::sig_atomic_t requested = 0;

extern "C" void on_stop_signal(int signal) {
  if (requested != 0 && signal == SIGINT) std::signal(SIGINT, SIG_DFL), std::raise(SIGINT);
  requested = 1;
}
}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;  // reads of pictures go on
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool stop_requested() { return requested != 0; }
void request_stop() { requested = 1; }

}  // namespace kindred
