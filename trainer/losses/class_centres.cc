#include "trainer/losses/class_centres.h"

#include <algorithm>
#include <cmath>

#include "common/base/hash.h"
#include "common/base/option_rules.h"
#include "common/base/philox.h"
#include "common/engine/gemm.h"
#include "common/engine/launch.h"
#include "trainer/losses/row_sums.h"

namespace kindred {
inline namespace KINDRED_LAUNCH_DEVICE {

void ClassCentres::declare_options(Options& options, const std::string& loss, bool shardable) {
  options.add(loss + ".centre_lr", 1.0, "multiplies the learning rate of the class centres");
  if (!shardable) return;
  options.add(loss + ".sharded", false, "share the class centres out among the ranks: each holds a part");
  options.add(loss + ".sample_rate", 1.0,
              "when sharded: share of the classes that a step draws beside those of its batch; the others "
              "wait, momentum and decay included");
}

ClassCentres::ClassCentres(const Options& options, CentreSpec spec, bool shardable)
    : spec_(std::move(spec)), rate_scale_(options.get<double>(spec_.loss + ".centre_lr")) {
  require_option(options, spec_.loss + ".centre_lr", rate_scale_ > 0, "more than 0");
  if (!shardable) return;
  sharded_ = options.get<bool>(spec_.loss + ".sharded");
  sample_rate_ = options.get<double>(spec_.loss + ".sample_rate");
  require_option(options, spec_.loss + ".sample_rate", sample_rate_ >= 0 && sample_rate_ <= 1, "in [0, 1]");
  require_option(options, spec_.loss + ".sample_rate", sharded_ || sample_rate_ == 1,
                 concat("1 unless ", spec_.loss, ".sharded is set"));
}

void ClassCentres::declare(ParameterSet& parameters, int dim, int64_t classes) {
  ParamInfo info;
  info.name = spec_.loss + ".centres";
  info.file_shape = Shape{classes * spec_.per_class, dim};
  const double glorot = std::sqrt(2.0 / static_cast<double>(classes + dim));
  info.init = Init::normal_std(spec_.init_std > 0 ? spec_.init_std : glorot);
  info.lr_scale = rate_scale_;
  info.sharded = sharded_;
  info.unit_rows = spec_.per_class;
  param_ = parameters.add(info);
  parameters_ = &parameters;
  all_classes_ = classes;
  first_class_ = parameters.info(param_).first_row / spec_.per_class;
  local_classes_ = sharded_ ? parameters.info(param_).rows / spec_.per_class : classes;
}

const Tensor& ClassCentres::score(Stream& stream, const EmbeddingBatch& batch) {
  KINDRED_ASSERT(parameters_ != nullptr);
  rows_ = spec_.raw ? (sharded_ ? batch.all_raw : batch.raw)
                    : (sharded_ ? batch.all_embeddings : batch.embeddings);
  choose_classes(stream, batch);
  gather_directions(stream);
  sized(stream, class_scores_, Shape{rows(), columns()});
  if (spec_.per_class == 1) centre_scores_ = class_scores_;
  sized(stream, centre_scores_, Shape{rows(), centres()});
  if (centres() > 0) {
    gemm(stream, Transpose::no, Transpose::yes, rows(), centres(), dim(), 1, rows_.f32(), dim(),
         directions_.f32(), dim(), 0, centre_scores_.f32(), centres());
  }
  if (spec_.per_class > 1) pool(stream);
  return class_scores_;
}

void ClassCentres::choose_classes(Stream& stream, const EmbeddingBatch& batch) {
  const Tensor& label_tensor = sharded_ ? batch.all_labels : batch.labels;
  std::vector<int64_t> labels(static_cast<size_t>(label_tensor.elements()));
  stream.copy(labels.data(), label_tensor.raw(), label_tensor.bytes());
  stream.wait();
  std::vector<uint8_t> taken(static_cast<size_t>(local_classes_), sample_rate_ == 1 ? 1 : 0);
  const auto local = [&](int64_t label) {  // its place here, or -1
    const int64_t place = label - first_class_;
    return place >= 0 && place < local_classes_ ? place : -1;
  };
  for (const int64_t label : labels) {
    if (label < 0 || label >= all_classes_)
      fail(spec_.loss, ": label ", label, " is not one of the ", all_classes_, " classes");
    if (local(label) >= 0) taken[static_cast<size_t>(local(label))] = 1;
  }
  const uint64_t key = batch.seed ^ fnv1a64(spec_.loss);
  const auto step = static_cast<uint64_t>(batch.step);
  for (int64_t c = 0; c < local_classes_ && sample_rate_ > 0 && sample_rate_ < 1; ++c) {
    const auto id = static_cast<uint64_t>(first_class_ + c);
    const PhiloxBlock draw = philox(key, static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32),
                                    static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32));
    if (static_cast<double>(unit_float(draw.word[0])) < sample_rate_) taken[static_cast<size_t>(c)] = 1;
  }

  classes_.clear();
  std::vector<int64_t> column_of(taken.size(), -1), row_of_centre;
  for (int64_t c = 0; c < local_classes_; ++c) {
    if (taken[static_cast<size_t>(c)] == 0) continue;
    column_of[static_cast<size_t>(c)] = columns();
    classes_.push_back(c);
    for (int k = 0; k < spec_.per_class; ++k) row_of_centre.push_back(c * spec_.per_class + k);
  }
  std::vector<int64_t> own;
  for (const int64_t label : labels)
    own.push_back(local(label) < 0 ? -1 : column_of[static_cast<size_t>(local(label))]);
  sized(stream, own_columns_, Shape{static_cast<int64_t>(own.size())}, DType::i64);
  sized(stream, row_of_centre_, Shape{centres()}, DType::i64);
  stream.copy(own_columns_.raw(), own.data(), own_columns_.bytes());
  stream.copy(row_of_centre_.raw(), row_of_centre.data(), row_of_centre_.bytes());
  stream.wait();
}

/// directions = centres / |centres|, and 1 / |centres| for the way back; or the centres as they are.
void ClassCentres::gather_directions(Stream& stream) {
  const int64_t width = dim();
  const bool normalised = spec_.normalised;
  const float* const all = parameters_->value(param_).f32();
  const int64_t* const row_of = row_of_centre_.data<int64_t>();
  float* const to = sized(stream, directions_, Shape{centres(), width}).f32();
  float* const inverse_norms = sized(stream, inverse_norms_, Shape{centres()}).f32();
  launch_rows(
      stream, centres(),
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const float* const from = all + row_of[r] * width;
        const float square = normalised ? row.sum(width, [=](int64_t i) { return from[i] * from[i]; }) : 1;
        const float inverse = 1 / sqrtf(square > 1e-24f ? square : 1e-24f);
        row.each(width, [=](int64_t i) { to[r * width + i] = from[i] * inverse; });
        row.once([=] { inverse_norms[r] = inverse; });
      },
      width);
}

void ClassCentres::pool(Stream& stream) {
  const int64_t n = columns(), per_class = spec_.per_class;
  const auto gamma = static_cast<float>(spec_.pool);
  const float* const from = centre_scores_.f32();
  float* const to = class_scores_.f32();
  launch_each(
      stream, rows() * n,
      [=] KINDRED_DEV(int64_t i) {
        const float* const scores = from + i * per_class;
        float largest = scores[0], total = 0, sum = 0;
        for (int64_t k = 1; k < per_class; ++k) largest = scores[k] > largest ? scores[k] : largest;
        if (gamma == 0) {
          for (int64_t k = 0; k < per_class; ++k) sum += scores[k] - scores[k];  // NaN stays NaN
          to[i] = largest + sum;
          return;
        }
        for (int64_t k = 0; k < per_class; ++k) {
          const float share = expf((scores[k] - largest) / gamma);
          total += share, sum += share * scores[k];
        }
        to[i] = sum / total;
      },
      per_class);
}

/// dL/d(class scores) -> dL/d(centre scores), in place of the latter.
void ClassCentres::unpool(Stream& stream) {
  const int64_t n = columns(), per_class = spec_.per_class;
  const auto gamma = static_cast<float>(spec_.pool);
  float* const all = centre_scores_.f32();
  const float* const gradients = class_scores_.f32();
  launch_each(
      stream, rows() * n,
      [=] KINDRED_DEV(int64_t i) {
        float* const scores = all + i * per_class;
        int64_t best = 0;
        for (int64_t k = 1; k < per_class; ++k) best = scores[k] > scores[best] ? k : best;
        if (gamma == 0) {
          for (int64_t k = 0; k < per_class; ++k) scores[k] = k == best ? gradients[i] : 0;
          return;
        }
        const float largest = scores[best];
        float total = 0, sum = 0;
        for (int64_t k = 0; k < per_class; ++k) {
          const float share = expf((scores[k] - largest) / gamma);
          total += share, sum += share * scores[k];
        }
        const float mean = sum / total;
        for (int64_t k = 0; k < per_class; ++k) {
          const float share = expf((scores[k] - largest) / gamma) / total;
          scores[k] = gradients[i] * share * (1 + (scores[k] - mean) / gamma);
        }
      },
      per_class);
}

void ClassCentres::back(Stream& stream, const EmbeddingGradients& gradients, double alpha) {
  sized(stream, direction_gradients_, Shape{centres(), dim()});
  if (centres() == 0) return;
  if (spec_.per_class > 1) unpool(stream);
  const Tensor& to = spec_.raw ? (sharded_ ? gradients.raw_references : gradients.raw)
                               : (sharded_ ? gradients.references : gradients.anchors);
  gemm(stream, Transpose::no, Transpose::no, rows(), dim(), centres(), static_cast<float>(alpha),
       centre_scores_.f32(), centres(), directions_.f32(), dim(), 1, to.f32(), dim());
  gemm(stream, Transpose::yes, Transpose::no, centres(), dim(), rows(), static_cast<float>(alpha),
       centre_scores_.f32(), centres(), rows_.f32(), dim(), 0, direction_gradients_.f32(), dim());
}

void ClassCentres::finish(Stream& stream) {
  if (!sharded_) {
    through_normalisation(stream, parameters_->gradient(param_).f32(), row_of_centre_.data<int64_t>());
    return;
  }
  if (centres() == 0) {
    parameters_->set_row_gradients(param_, {});
    return;
  }
  stream.zero(sized(stream, centre_gradients_, Shape{centres(), dim()}));
  through_normalisation(stream, centre_gradients_.f32(), nullptr);
  parameters_->set_row_gradients(param_, {row_of_centre_, centre_gradients_});
}

/// Only what is at right angles to a centre moves it. row_of: where centre r's gradient goes; null: row r.
void ClassCentres::through_normalisation(Stream& stream, float* to, const int64_t* row_of) {
  const int64_t width = dim();
  const bool normalised = spec_.normalised;
  const float *const directions = directions_.f32(), *const inverse_norms = inverse_norms_.f32();
  const float* const all = direction_gradients_.f32();
  launch_rows(
      stream, centres(),
      [=] KINDRED_DEV(const Row& row, int64_t r) {
        const float *const direction = directions + r * width, *const from = all + r * width;
        float* const own = to + (row_of == nullptr ? r : row_of[r]) * width;
        const float along =
            normalised ? row.sum(width, [=](int64_t i) { return from[i] * direction[i]; }) : 0.0f;
        row.each(width, [=](int64_t i) { own[i] += (from[i] - along * direction[i]) * inverse_norms[r]; });
      },
      width);
}

}  // namespace KINDRED_LAUNCH_DEVICE
}  // namespace kindred
