// Center loss: draws each row to the centre of its class,
//   L = mean over rows of |x - c|^2 / 2,
// where centres are not trained by the optimiser but follow the rows of all ranks:
//   c -= rate * sum over the class's rows of (c - x) / (1 + rows of the class).
// Source: Wen, Zhang, Li, Qiao, "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV
// 2016.
#include <algorithm>
#include <numeric>
#include <vector>

#include "common/base/option_rules.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_sums.h"

namespace kindred {
namespace {

class Center : public Loss {
 public:
  static void declare_options(Options& options) {
    options.add("center.rate", 0.5, "how far a step moves a centre towards the mean of its rows");
    options.add("center.raw", false, "read the embeddings before L2; false: unit rows");
  }

  explicit Center(const Options& options)
      : rate_(options.get<double>("center.rate")), raw_(options.get<bool>("center.raw")) {
    require_option(options, "center.rate", rate_ > 0 && rate_ <= 1, "in (0, 1]");
  }

  void declare(ParameterSet& parameters, int dim, int64_t classes) override {
    ParamInfo info;
    info.name = "center.centres";
    info.file_shape = Shape{classes, dim};
    info.trainable = false;  // start at 0: a pull along the row itself, which L2 takes off again
    centres_ = parameters.add(info);
    parameters_ = &parameters;
  }

  bool reads_raw() const override { return raw_; }

  LossValue run(Stream& stream, Communicator& communicator, const EmbeddingBatch& batch,
                const EmbeddingGradients& gradients, double weight) override {
    KINDRED_ASSERT(parameters_ != nullptr);
    const Tensor& rows = raw_ ? batch.raw : batch.embeddings;
    const auto anchors = static_cast<double>(batch.all_labels.elements());
    const Members members = members_of_classes(stream, batch.all_labels);
    pull(stream, rows, batch.labels, (raw_ ? gradients.raw : gradients.anchors), weight / anchors);
    const std::vector<double> sums = sums_.over_all_ranks(stream, communicator);
    follow(stream, raw_ ? batch.all_raw : batch.all_embeddings, members);
    return {sums[0] / anchors, sums[1] / anchors, 0, 0};
  }

  /// Gathered rows by class: rows [begin[i], begin[i + 1]) of `order` are of class classes[i].
  struct Members {
    std::vector<int64_t> classes, begin, order;
  };
  Members members_of_classes(Stream& stream, const Tensor& labels) const {
    std::vector<int64_t> of_rows(static_cast<size_t>(labels.elements()));
    stream.copy(of_rows.data(), labels.raw(), labels.bytes());
    stream.wait();
    const int64_t classes = parameters_->info(centres_).file_shape[0];
    for (const int64_t label : of_rows) {
      if (label < 0 || label >= classes)
        fail("center: label ", label, " is not one of the ", classes, " classes");
    }
    Members members;
    members.order.resize(of_rows.size());
    std::iota(members.order.begin(), members.order.end(), int64_t{0});
    const auto label_of = [&](int64_t r) { return of_rows[static_cast<size_t>(r)]; };
    std::ranges::stable_sort(members.order, {}, label_of);
    for (size_t i = 0; i < members.order.size(); ++i) {
      const int64_t label = label_of(members.order[i]);
      if (!members.classes.empty() && members.classes.back() == label) continue;
      members.classes.push_back(label);
      members.begin.push_back(static_cast<int64_t>(i));
    }
    members.begin.push_back(static_cast<int64_t>(members.order.size()));
    return members;
  }

  /// Adds alpha (x - c) to the gradients, and writes each row's loss and whether it is above 0.
  void pull(Stream& stream, const Tensor& rows, const Tensor& labels, const Tensor& gradients, double scale) {
    const int64_t dim = rows.shape()[1];
    const float *const all = rows.f32(), *const centres = parameters_->value(centres_).f32();
    const int64_t* const classes = labels.data<int64_t>();
    const auto alpha = static_cast<float>(scale);
    float *const to = gradients.f32(), *const all_sums = sums_.begin(stream, rows.shape()[0], 2);
    launch_rows(
        stream, rows.shape()[0],
        [=] KINDRED_DEV(const Row& row, int64_t r) {
          const float *const own = all + r * dim, *const centre = centres + classes[r] * dim;
          row.each(dim, [=](int64_t i) { to[r * dim + i] += alpha * (own[i] - centre[i]); });
          const float loss = 0.5f * row.sum(dim, [=](int64_t i) {
            const float apart = own[i] - centre[i];
            return apart * apart;
          });
          row.once([=] { all_sums[2 * r] = loss, all_sums[2 * r + 1] = loss > 0 ? 1.0f : 0.0f; });
        },
        3 * dim);
  }

  /// Every rank moves its centres by the same rows in the same order.
  void follow(Stream& stream, const Tensor& rows, const Members& members) {
    const auto upload = [&](Tensor& tensor, const std::vector<int64_t>& values) {
      sized(stream, tensor, Shape{static_cast<int64_t>(values.size())}, DType::i64);
      stream.copy(tensor.raw(), values.data(), tensor.bytes());
      return tensor.data<int64_t>();
    };
    const int64_t *const classes = upload(classes_, members.classes),
                         *const begin = upload(begin_, members.begin),
                         *const order = upload(order_, members.order);
    stream.wait();
    const int64_t dim = rows.shape()[1];
    const float* const all = rows.f32();
    float* const centres = parameters_->value(centres_).f32();
    const auto rate = static_cast<float>(rate_);
    launch_rows(
        stream, classes_.elements(),
        [=] KINDRED_DEV(const Row& row, int64_t k) {
          float* const centre = centres + classes[k] * dim;
          const int64_t count = begin[k + 1] - begin[k];
          row.each(dim, [=](int64_t i) {
            float apart = 0;
            for (int64_t j = begin[k]; j < begin[k + 1]; ++j) apart += centre[i] - all[order[j] * dim + i];
            centre[i] -= rate * apart / static_cast<float>(1 + count);
          });
        },
        dim * rows.shape()[0] / classes_.elements());
    parameters_->touch();
  }

 private:
  const double rate_;
  const bool raw_;
  ParameterSet* parameters_ = nullptr;
  Param centres_;
  RowSums sums_;
  Tensor classes_, begin_, order_;
};

KINDRED_LOSS("center", Center, "draws rows to running centres of their classes");

}  // namespace
}  // namespace kindred
