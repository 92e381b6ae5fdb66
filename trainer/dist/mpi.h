// Ranks as processes started by mpirun or srun. All MPI calls of the project are made in mpi.cc.
#pragma once

#include <memory>

#include "common/engine/communicator.h"

namespace kindred {

/// The world that this process was started in: MPI's when mpirun or srun started it, otherwise a world of
/// one. Sums are taken in rank order: they repeat bit for bit, are equal on all ranks and equal those of
/// thread ranks. Host memory only. At most one per process; its end closes MPI, unless an exception is under
/// way: then the others may be waiting, and the caller ends them by `abort_all`. Calls come from one thread
/// at a time. Throws Error when several processes were started and cannot see each other.
std::unique_ptr<Communicator> make_communicator();

/// This process among those of the same machine: which device or cores are its own.
struct LocalRank {
  int rank = 0;
  int size = 1;
};
/// Collective.
LocalRank local_rank();

/// Ends all ranks at once with this exit code; also from inside a failed collective, and without MPI.
[[noreturn]] void abort_all(int code);

}  // namespace kindred
