// A loss is a row program over a score matrix: every rank owns its B anchors and scores them against the
// gathered M = R*B rows of all ranks, or against columns of its own (class centres). What is differentiated
// is the SUM over ranks: a loss divides by a global normaliser and never by a rank's own count.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/options.h"
#include "common/base/registry.h"
#include "common/engine/communicator.h"
#include "common/engine/parameters.h"
#include "common/engine/stream.h"

namespace kindred {

class MemoryBank;

/// One rank's view of a step. Row i of the rank is row first_row + i of the gathered tensors.
struct EmbeddingBatch {
  Tensor embeddings;      // [B, D] unit rows of this rank
  Tensor labels;          // [B] i64
  Tensor sample_ids;      // [B] i64
  Tensor all_embeddings;  // [M, D]
  Tensor all_labels;      // [M]
  Tensor all_sample_ids;  // [M]
  int64_t first_row = 0;
  Tensor raw{}, all_raw{};  // [B, D], [M, D] before they were made unit rows; only where a loss reads_raw()
  Tensor teacher{}, all_teacher{};  // [B, T], [M, T] unit rows of Loss::teacher() for the same images
  uint64_t seed = 0;                // of the run; with `step` (steps done) the key of everything a loss draws
  int64_t step = 0;
  int64_t tile_bytes = int64_t{64} << 20;  // of scores that losses on pairs hold at once
  MemoryBank* bank = nullptr;              // further columns for losses on pairs, or null
};

/// Where gradients go; always +=. dL/d(embeddings) of this rank's rows as anchors, and of all rows as
/// references: the caller adds the reduce-scattered second to the first.
struct EmbeddingGradients {
  Tensor anchors;                  // [B, D]
  Tensor references;               // [M, D]
  Tensor raw{}, raw_references{};  // dL/d(raw) and dL/d(all_raw), where a loss reads_raw()
};

/// Host numbers, the same on every rank (all-reduced). What a progress line shows.
struct LossValue {
  double loss = 0;              // the global loss
  double active_fraction = 0;   // anchors (or pairs) with a non-zero loss
  double hardest_positive = 0;  // mean over anchors of the lowest same-class score
  double hardest_negative = 0;  // mean over anchors of the highest other-class score
};

class Loss {
 public:
  virtual ~Loss() = default;
  /// Declares parameters such as class centres. classes: of the training set; dim: of the embedding.
  virtual void declare(ParameterSet& parameters, int dim, int64_t classes) {
    (void)parameters, (void)dim, (void)classes;
  }
  /// Whether it reads EmbeddingBatch::raw.
  virtual bool reads_raw() const { return false; }
  /// The model file that EmbeddingBatch::teacher comes from; "" for none.
  virtual std::string teacher() const { return ""; }
  /// The value where all embeddings are one; NaN where it depends on more, or is 0.
  virtual double collapse_value() const { return std::nan(""); }
  /// Value and gradient; parameter gradients are added to the set (this rank's share of the sum). `weight`
  /// multiplies the gradients and not the value. Where no pair is active the value is 0; where a score is not
  /// a number, so is the value. Collective; every rank brings the same B.
  virtual LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                        const EmbeddingGradients& gradients, double weight) = 0;
};

struct LossEntry {
  std::function<void(Options&)> declare;  // its options under its name: "triplet.margin"
  std::function<std::unique_ptr<Loss>(const Options&)> make;
};
/// The losses of this build for a kind of device.
Registry<LossEntry>& loss_registry(Device::Type device = Device::cpu);

/// The losses and weights that option train.losses names: "triplet", or "triplet*1.0" and "arcface*0.5".
/// Throws UsageError: an unknown name (with the nearest), a name given twice, a weight that is no number
/// above 0, none.
std::vector<std::pair<std::unique_ptr<Loss>, double>> make_losses(const std::vector<std::string>& words,
                                                                  const Options& options,
                                                                  Device::Type device = Device::cpu);

/// An L, or what L::make chooses.
template <class L>
std::unique_ptr<Loss> make_loss(const Options& options) {
  if constexpr (requires { L::make(options); })
    return L::make(options);
  else
    return std::make_unique<L>(options);
}

}  // namespace kindred

/// At the foot of a loss's file, a single-source one. L has `static void declare_options(Options&)`, and
/// L(const Options&) or `static std::unique_ptr<Loss> make(const Options&)`.
#define KINDRED_LOSS(name, L, help)                                      \
  [[maybe_unused]] static const bool kindred_registered_##L =            \
      ::kindred::loss_registry(::kindred::Device::KINDRED_LAUNCH_DEVICE) \
          .add(name, {&L::declare_options, &::kindred::make_loss<L>}, help)
