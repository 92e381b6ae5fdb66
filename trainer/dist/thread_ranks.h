// Ranks as threads of one process: what tests use to show that R ranks compute what one rank computes.
#pragma once

#include <functional>

#include "common/engine/communicator.h"

namespace kindred {

/// Runs body(communicator) once per rank, each in a thread of its own with its share of the cores, and waits
/// for all. The first exception of any rank is thrown here; the others are then woken from whatever call they
/// wait in, and so they are when ranks make different calls or one returns while another waits for it. Host
/// memory only. Requires: ranks >= 1.
void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace kindred
