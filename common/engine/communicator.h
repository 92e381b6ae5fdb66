// What ranks say to each other. Implementations: one process (here), threads, MPI and NCCL (trainer/dist).
// Every rank makes the same calls in the same order; sums are taken in rank order, so results repeat bit for
// bit and are equal on all ranks.
#pragma once

#include <memory>

#include "common/base/tensor.h"
#include "common/engine/stream.h"

namespace kindred {

/// How values of the ranks become one.
enum class Reduction : uint8_t { sum, max };

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// values = their sum or largest over ranks, in place. f32.
  virtual void all_reduce(Stream& stream, const Tensor& values, Reduction how = Reduction::sum) = 0;
  /// all [R*B, ...] = the ranks' mine [B, ...], one after the other. Any dtype; the same B on every rank.
  virtual void all_gather(Stream& stream, const Tensor& mine, const Tensor& all) = 0;
  /// mine [B, ...] = this rank's part of the sum over ranks of all [R*B, ...]. f32.
  virtual void reduce_scatter(Stream& stream, const Tensor& all, const Tensor& mine) = 0;
  /// values = root's values. Any dtype.
  virtual void broadcast(Stream& stream, const Tensor& values, int root) = 0;
  virtual void barrier() = 0;
};

/// A world of one rank: every call is a copy or nothing.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace kindred
