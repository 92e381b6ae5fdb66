// N-pair loss: every class is represented by its sample with the lowest id; every other sample is an anchor
// and must find its own class among the representatives, by a softmax over scale * score. With two images of
// a class these are the pairs of the paper; the scale stands for the lengths of its embeddings.
// Source: Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016, eq. 6.
#include <unordered_map>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/info_nce.h"

namespace kindred {
namespace {

/// Marks the representatives of classes, for all rows but themselves.
class Representatives : public Miner {
 public:
  int sweeps() const override { return 0; }

  void begin(Stream& stream, const MiningStep& step) override {
    const auto n = static_cast<size_t>(step.columns);
    const int64_t bytes = step.columns * static_cast<int64_t>(sizeof(int64_t));
    std::vector<int64_t> labels(n), ids(n), lowest(n);
    stream.copy(labels.data(), step.column_labels, bytes);
    stream.copy(ids.data(), step.column_ids, bytes);
    stream.wait();
    std::unordered_map<int64_t, size_t> of_class;  // the column of the lowest id
    for (size_t i = 0; i < n; ++i) {
      const auto [found, fresh] = of_class.emplace(labels[i], i);
      if (!fresh && ids[i] < ids[found->second]) found->second = i;
    }
    for (const auto& [label, column] : of_class) lowest[column] = 1;
    roomy(stream, is_representative_, step.columns, DType::i64);
    stream.copy(is_representative_.raw(), lowest.data(), bytes);
    stream.wait();
  }

  void mark(Stream& stream, const ScoreTile& tile, uint8_t* marks) override {
    const int64_t* const representative = is_representative_.data<int64_t>() + tile.first_column;
    launch_rows(
        stream, tile.rows,
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          // A sample that has no representative but itself is one.
          row.each(tile.columns, [=](int64_t c) {
            const uint8_t kind = tile.positive(r, c)   ? kPositivePair
                                 : tile.negative(r, c) ? kNegativePair
                                                       : 0;
            marks[r * tile.columns + c] = representative[c] != 0 ? kind : uint8_t{0};
          });
        },
        tile.columns);
  }

 private:
  Tensor is_representative_;  // [columns], 0 or 1
};

class NPairs : public RowLoss<InfoNceRule> {
 public:
  static void declare_options(Options& options) {
    options.add("n_pairs.scale", 10.0, "multiplies scores before the softmax");
    NoiseGuard::declare(options, "n_pairs");
  }
  explicit NPairs(const Options& options)
      : RowLoss(options, "n_pairs", std::make_unique<Representatives>(),
                {static_cast<float>(options.get<double>("n_pairs.scale"))}) {
    require_option(options, "n_pairs.scale", options.get<double>("n_pairs.scale") > 0, "more than 0");
  }
};

KINDRED_LOSS("n_pairs", NPairs, "softmax of an anchor over one representative of every class");

}  // namespace
}  // namespace kindred
