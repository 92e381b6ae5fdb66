#include "trainer/dist/mpi.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/base/error.h"

#ifdef KINDRED_HAVE_MPI
#define OMPI_SKIP_MPICXX  // the C calls only: the old C++ ones do not compile without warnings
#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <source_location>
#include <span>
#include <vector>
#endif

namespace kindred {
namespace {

int64_t number_in_environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::strtoll(text, nullptr, 10);
}

/// Processes that mpirun or srun says it started together; 1 when neither did.
int64_t launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const int64_t count = number_in_environment(name); count > 0) return count;
  }
  return 1;
}

}  // namespace

#ifdef KINDRED_HAVE_MPI
namespace {

void check(int code, const char* call, const std::source_location& where = std::source_location::current()) {
  if (code == MPI_SUCCESS) return;
  char reason[MPI_MAX_ERROR_STRING] = "unknown reason";
  int length = 0;
  MPI_Error_string(code, reason, &length);
  fail(where.file_name(), ":", static_cast<int64_t>(where.line()), ": ", call, " failed: ", reason);
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
    if (provided < MPI_THREAD_SERIALIZED) fail("this MPI library does not support threads");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
    check(MPI_Comm_rank(world_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(world_, &size_), "MPI_Comm_size");
  }

  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() > 0) return;  // closing waits for ranks that may wait for this one
    MPI_Comm_free(&world_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_reduce(Stream& stream, const Tensor& values, Reduction how) override {
    wait_on_host(stream, values);
    const int64_t n = values.elements();
    for (int64_t begin = 0; begin < n; begin += kSegment) {
      const int64_t count = std::min(kSegment, n - begin);
      // Rank r reduces part r of the segment and then hands the result to everyone.
      const auto part = [&](int r) {
        const int64_t from = count * r / size_, to = count * (r + 1) / size_;
        return std::span(values.f32() + begin + from, static_cast<size_t>(to - from));
      };
      const std::span<float> mine = part(rank_);
      reduce_parts(part, mine, how);
      exchange([&](int) { return std::as_bytes(mine); },
               [&](int peer) { return std::as_writable_bytes(part(peer)); });
    }
  }

  void all_gather(Stream& stream, const Tensor& mine, const Tensor& all) override {
    KINDRED_ASSERT(all.bytes() == mine.bytes() * size_ && all.dtype() == mine.dtype());
    wait_on_host(stream, all);
    const auto bytes = static_cast<size_t>(mine.bytes());
    const auto part = [&](int r) { return std::span(static_cast<std::byte*>(all.raw()) + bytes * r, bytes); };
    if (bytes > 0) std::memmove(part(rank_).data(), mine.raw(), bytes);
    exchange([&](int) { return std::span<const std::byte>(part(rank_)); }, part);
  }

  void reduce_scatter(Stream& stream, const Tensor& all, const Tensor& mine) override {
    KINDRED_ASSERT(all.elements() == mine.elements() * size_);
    wait_on_host(stream, all);
    const int64_t n = mine.elements();
    for (int64_t begin = 0; begin < n; begin += kSegment) {
      const auto count = static_cast<size_t>(std::min(kSegment, n - begin));
      reduce_parts([&](int r) { return std::span(all.f32() + r * n + begin, count); },
                   std::span(mine.f32() + begin, count), Reduction::sum);
    }
  }

  void broadcast(Stream& stream, const Tensor& values, int root) override {
    KINDRED_ASSERT(root >= 0 && root < size_);
    wait_on_host(stream, values);
    auto* data = static_cast<std::byte*>(values.raw());
    for (int64_t begin = 0; begin < values.bytes(); begin += kPiece) {
      const int64_t bytes = std::min(kPiece, values.bytes() - begin);
      check(MPI_Bcast(data + begin, static_cast<int>(bytes), MPI_BYTE, root, world_), "MPI_Bcast");
    }
  }

  void barrier() override { check(MPI_Barrier(world_), "MPI_Barrier"); }

 private:
  static constexpr int64_t kSegment = 1 << 20;  // floats summed at a time: 4 MiB stay in the cache
  static constexpr int64_t kPiece = 1 << 30;    // bytes of one message: MPI counts are ints

  void wait_on_host(Stream& stream, const Tensor& tensor) const {
    KINDRED_ASSERT(tensor.device().type == Device::cpu);  // Debian's Open MPI cannot read device memory
    stream.wait();
  }

  /// Sends part(r) to every rank r and writes to `result` the sum (in rank order) or the largest over ranks
  /// of what came back. part(this rank) and `result` may be the same memory.
  template <class Part>
  void reduce_parts(const Part& part, std::span<float> result, Reduction how) {
    const size_t n = result.size();
    received_.resize(n * static_cast<size_t>(size_));
    const auto received = [&](int r) { return std::span(received_).subspan(n * static_cast<size_t>(r), n); };
    exchange([&](int peer) { return std::as_bytes(part(peer)); },
             [&](int peer) { return std::as_writable_bytes(received(peer)); });
    std::ranges::copy(part(rank_), received(rank_).begin());
    for (size_t i = 0; i < n; ++i) {
      float total = received_[i];
      for (size_t r = 1; r < static_cast<size_t>(size_); ++r) {
        const float other = received_[r * n + i];
        total = how == Reduction::sum ? total + other : std::max(total, other);
      }
      result[i] = total;
    }
  }

  /// One message, send(peer), to every other rank and one, receive(peer), from each.
  template <class Send, class Receive>
  void exchange(const Send& send, const Receive& receive) {
    requests_.clear();
    expected_.clear();
    for (int step = 1; step < size_; ++step) {  // rank r starts with its neighbour, so that nobody is flooded
      const int from = (rank_ + size_ - step) % size_;
      const std::span<std::byte> bytes = receive(from);
      for_pieces(bytes.size(), [&](size_t begin, int count) {
        check(MPI_Irecv(bytes.data() + begin, count, MPI_BYTE, from, 0, world_, &requests_.emplace_back()),
              "MPI_Irecv");
        expected_.push_back(count);
      });
    }
    for (int step = 1; step < size_; ++step) {
      const int to = (rank_ + step) % size_;
      const std::span<const std::byte> bytes = send(to);
      for_pieces(bytes.size(), [&](size_t begin, int count) {
        check(MPI_Isend(bytes.data() + begin, count, MPI_BYTE, to, 0, world_, &requests_.emplace_back()),
              "MPI_Isend");
      });
    }
    statuses_.resize(requests_.size());
    check(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), statuses_.data()), "MPI_Waitall");
    for (size_t i = 0; i < expected_.size(); ++i) {
      int count = 0;
      check(MPI_Get_count(&statuses_[i], MPI_BYTE, &count), "MPI_Get_count");
      if (count != expected_[i]) {
        fail("rank ", rank_, " expected ", expected_[i], " bytes of rank ", statuses_[i].MPI_SOURCE,
             " and got ", count, "; ranks make different calls");
      }
    }
  }

  template <class F>
  static void for_pieces(size_t bytes, const F& f) {
    for (size_t begin = 0; begin < bytes; begin += kPiece) {
      f(begin, static_cast<int>(std::min<size_t>(kPiece, bytes - begin)));
    }
  }

  MPI_Comm world_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  std::vector<float> received_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
  std::vector<int> expected_;
};

bool mpi_is_running() {
  int begun = 0, ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  return begun != 0 && ended == 0;
}

}  // namespace

std::unique_ptr<Communicator> make_communicator() {
  // Some launchers give a rank and no count: then MPI itself is asked.
  const int64_t launched = launched_processes();
  if (launched == 1 && std::getenv("PMIX_RANK") == nullptr) return make_self_communicator();
  auto communicator = std::make_unique<MpiCommunicator>();
  if (communicator->size() == 1 && launched > 1) {
    fail(launched, " processes were started together, but MPI connects none of them; ",
         "start with 'mpirun' or with 'srun --mpi=pmix'");
  }
  return communicator;
}

LocalRank local_rank() {
  if (!mpi_is_running()) return {};
  MPI_Comm machine = MPI_COMM_NULL;
  LocalRank local;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
        "MPI_Comm_split_type");
  check(MPI_Comm_rank(machine, &local.rank), "MPI_Comm_rank");
  check(MPI_Comm_size(machine, &local.size), "MPI_Comm_size");
  check(MPI_Comm_free(&machine), "MPI_Comm_free");
  return local;
}

void abort_all(int code) {
  std::fflush(nullptr);
  if (mpi_is_running()) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

#else  // without MPI: a world of one

std::unique_ptr<Communicator> make_communicator() {
  if (const int64_t launched = launched_processes(); launched > 1) {
    fail(launched,
         " processes were started together, but this build has no MPI; configure with KINDRED_MPI=ON");
  }
  return make_self_communicator();
}

LocalRank local_rank() { return {}; }

void abort_all(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

#endif

}  // namespace kindred
