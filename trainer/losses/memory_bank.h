// Cross-batch memory: embeddings of past steps as further columns for every loss on pairs. Embeddings are
// divided among ranks; labels and ids are small and everywhere. A slot's content depends on the order of the
// global batches alone, so any number of ranks has the same bank.
// Source: Wang, Zhang, Huang, Scott, "Cross-Batch Memory for Embedding Learning", CVPR 2020.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/options.h"
#include "common/engine/communicator.h"
#include "trainer/losses/columns.h"

namespace kindred {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct BankSettings {
  int64_t size = 0;     // rows of all ranks together; 0: no bank
  int64_t start = 0;    // steps before anything is kept
  int64_t max_age = 0;  // steps after which a row is not used any more; 0: no limit
  double weight = 1;    // of the loss against the bank

  static void declare(Options& options);
  /// Throws UsageError: out of range, or smaller than a batch, which must fit.
  static BankSettings read(const Options& options, int64_t batch);
};

class MemoryBank {
 public:
  /// dim: of the embedding. Both must outlive the bank.
  MemoryBank(const BankSettings& settings, int64_t dim, Stream& stream, Communicator& communicator);

  /// Keeps a global batch [M, D], [M], [M] in place of the oldest rows. Does nothing before the start.
  void add(const Tensor& all_embeddings, const Tensor& all_labels, const Tensor& all_sample_ids,
           int64_t step);

  bool in_use(int64_t step) const { return step >= settings_.start && rows_in_use(step) > 0; }
  double weight() const { return settings_.weight; }
  /// Rows that are young enough, from old to new, with no gradient. Its `embeddings` is collective.
  Columns columns(int64_t step);

  /// Everything, on the host of rank 0 for a checkpoint; nothing elsewhere. Collective.
  NamedTensors state();
  /// Tensors of the shapes that state() has, to be filled and given to `restore`; nothing but on rank 0.
  NamedTensors blank_state() const;
  /// Takes what rank 0 holds, whatever the number of ranks that wrote it. Collective.
  void restore(const NamedTensors& state);

 private:
  int64_t rows_in_use(int64_t step) const;
  /// Slots [first, first + count) as rows of a buffer, on all ranks; wraps around. Collective.
  const float* fetch(int64_t first, int64_t count);

  const BankSettings settings_;
  const int64_t dim_, shard_rows_;  // slots [rank * shard_rows, ...) live here
  Stream& stream_;
  Communicator& communicator_;
  Tensor shard_;                   // [shard_rows, D]
  Tensor labels_, ids_;            // [size] by slot
  std::vector<int64_t> steps_;     // [size] by slot: when it was filled
  int64_t next_ = 0, filled_ = 0;  // the slot to be filled next; slots filled so far
  Tensor tile_, ordered_labels_, ordered_ids_;
};

}  // namespace kindred
