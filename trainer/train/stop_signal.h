// SIGTERM, SIGINT and SIGUSR1 ask the run to stop after the step that is under way (schedulers send them
// before they take the machine back). A second SIGINT kills at once.
#pragma once

namespace kindred {

void install_stop_signals();

/// True once a signal has arrived in this process.
bool stop_requested();

/// Asks from inside the process; for tests.
void request_stop();

}  // namespace kindred
