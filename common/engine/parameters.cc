#include "common/engine/parameters.h"

#include <algorithm>
#include <cmath>

#include "common/base/hash.h"
#include "common/base/parallel.h"
#include "common/base/philox.h"

namespace kindred {
namespace {

constexpr int64_t kAlignElements = 16;  // 64 bytes: a vector register and a cache line

Shape memory_shape(const ParamInfo& info) {
  const Shape& file = info.file_shape;
  if (info.layout == ParamLayout::plain) return file;
  if (file.rank() != 4)
    fail("parameter '", info.name, "': a convolution weight has 4 dimensions; got ", file);
  if (info.layout == ParamLayout::ohwi) return {file[0], file[2], file[3], file[1]};
  if (file[1] != 1) fail("parameter '", info.name, "': a depthwise weight is [C,1,kh,kw]; got ", file);
  return {file[2], file[3], file[0]};
}

/// Where element i of the file lies in memory.
int64_t memory_index(const ParamInfo& info, int64_t i) {
  const Shape& file = info.file_shape;
  switch (info.layout) {
    case ParamLayout::plain:
      return i;
    case ParamLayout::ohwi: {
      const int64_t inner = file[1], area = file[2] * file[3];
      const int64_t o = i / (inner * area), c = i / area % inner, tap = i % area;
      return (o * area + tap) * inner + c;
    }
    case ParamLayout::hwc: {
      const int64_t area = file[2] * file[3];
      return i % area * file[0] + i / area;
    }
  }
  KINDRED_ASSERT(false);
  return 0;
}

/// Elements of a row of the first dimension.
int64_t row_elements(const ParamInfo& info) {
  return info.file_shape.elements() / std::max<int64_t>(1, info.file_shape[0]);
}

/// Elements of the file that this rank holds, from element info.first_row * row_elements(info).
int64_t own_elements(const ParamInfo& info) {
  return info.sharded ? info.rows * row_elements(info) : info.file_shape.elements();
}

/// Draws in the file's order, so that values do not depend on how a tensor lies in memory, nor on whether it
/// is shared out.
std::vector<float> draw(const ParamInfo& info, uint64_t seed) {
  Random random(seed, {fnv1a64(info.name), 0, 0});
  random.skip(4 * static_cast<uint64_t>(info.sharded ? info.first_row * row_elements(info) : 0));  // normals
  std::vector<float> values(static_cast<size_t>(own_elements(info)));
  const double a = info.init.a;
  for (float& value : values) {
    double drawn = a;
    switch (info.init.kind) {
      case Init::constant:
        break;
      case Init::normal:
        drawn = a * random.normal();
        break;
      case Init::uniform:
        drawn = random.uniform(-a, a);
        break;
      case Init::truncated_normal: {
        do drawn = random.normal();
        while (std::abs(drawn) > 2);
        drawn *= a;
        break;
      }
    }
    value = static_cast<float>(drawn);
  }
  return values;
}

}  // namespace

Param ParameterSet::add(ParamInfo info) {
  KINDRED_ASSERT(!frozen_);
  info.shape = memory_shape(info);
  info.offset = -1;
  if (info.sharded) {
    const bool fixed_draws = info.init.kind == Init::constant || info.init.kind == Init::normal;
    KINDRED_ASSERT(info.layout == ParamLayout::plain && info.trainable && fixed_draws);
    const int64_t all = info.file_shape[0], unit = info.unit_rows * ranks_;
    const int64_t each = (all + unit - 1) / unit * info.unit_rows;
    info.first_row = std::min(all, rank_ * each);
    info.rows = std::min(all, (rank_ + 1) * each) - info.first_row;
    info.shape[0] = each;
  }
  const Param param{count()};
  if (!by_name_.emplace(info.name, param.id).second) fail("parameter '", info.name, "' is declared twice");
  infos_.push_back(std::move(info));
  return param;
}

void ParameterSet::freeze(Stream& stream) {
  KINDRED_ASSERT(!frozen_);
  int64_t trainable = 0, buffers = 0;
  for (auto info = infos_.rbegin(); info != infos_.rend(); ++info) {
    if (info->sharded) {
      shards_[static_cast<int>(infos_.rend() - info) - 1].values = make_tensor(stream, info->shape);
      continue;
    }
    int64_t& used = info->trainable ? trainable : buffers;
    info->offset = used;
    used += (info->shape.elements() + kAlignElements - 1) / kAlignElements * kAlignElements;
  }
  values_ = make_tensor(stream, {trainable});
  gradients_ = make_tensor(stream, {trainable});
  buffers_ = make_tensor(stream, {buffers});
  stream_ = &stream;
  frozen_ = true;
}

Param ParameterSet::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return {found->second};
  std::vector<std::string> names;
  for (const auto& [known, id] : by_name_) names.push_back(known);
  const std::string nearest = nearest_name(name, names);
  if (nearest.empty()) fail("unknown parameter '", name, "' among ", names.size());
  fail("unknown parameter '", name, "'; did you mean '", nearest, "'?");
}

bool ParameterSet::contains(std::string_view name) const { return by_name_.find(name) != by_name_.end(); }

Tensor ParameterSet::view(Param param, const Tensor& block) const {
  KINDRED_ASSERT(frozen_);
  const ParamInfo& p = info(param);
  return block.slice(p.offset, p.shape.elements()).reshaped(p.shape);
}

Tensor ParameterSet::value(Param param) const {
  if (info(param).sharded) return shards_.at(param.id).values;
  return view(param, info(param).trainable ? values_ : buffers_);
}

Tensor ParameterSet::gradient(Param param) const {
  const ParamInfo& p = info(param);
  return p.trainable && !p.sharded ? view(param, gradients_) : Tensor();
}

std::vector<Param> ParameterSet::sharded() const {
  std::vector<Param> params;
  for (const auto& [id, shard] : shards_) params.push_back({id});
  return params;
}

void ParameterSet::set_row_gradients(Param param, RowGradients gradients) {
  shards_.at(param.id).gradients = std::move(gradients);
}

const RowGradients& ParameterSet::row_gradients(Param param) const { return shards_.at(param.id).gradients; }

int64_t ParameterSet::trainable_elements() const {
  int64_t total = 0;
  for (const ParamInfo& info : infos_) total += info.trainable ? info.file_shape.elements() : 0;
  return total;
}

void ParameterSet::initialize(uint64_t seed) {
  parallel_for(count(), [&](int64_t i) {
    const Param param{static_cast<int>(i)};
    store(param, draw(info(param), seed));  // of a sharded one, its part alone
  });
  touch();
}

void ParameterSet::set_from_file_layout(Param param, std::span<const float> values) {
  const ParamInfo& p = info(param);
  if (static_cast<int64_t>(values.size()) != p.file_shape.elements()) {
    fail("parameter '", p.name, "' ", p.file_shape, " needs ", p.file_shape.elements(), " values; got ",
         values.size());
  }
  const auto begin = static_cast<size_t>(p.first_row * row_elements(p));
  store(param, values.subspan(begin, static_cast<size_t>(own_elements(p))));
  touch();
}

void ParameterSet::store(Param param, std::span<const float> values) {
  const ParamInfo& p = info(param);
  std::vector<float> memory(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    memory[static_cast<size_t>(memory_index(p, static_cast<int64_t>(i)))] = values[i];
  }
  stream_->copy(value(param).raw(), memory.data(), static_cast<int64_t>(memory.size() * sizeof(float)));
  stream_->wait();
}

std::vector<float> ParameterSet::to_file_layout(Param param) const {
  const ParamInfo& p = info(param);
  KINDRED_ASSERT(!p.sharded);
  std::vector<float> memory(static_cast<size_t>(p.shape.elements())), values(memory.size());
  const Tensor source = value(param);
  stream_->copy(memory.data(), source.raw(), source.bytes());
  stream_->wait();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = memory[static_cast<size_t>(memory_index(p, static_cast<int64_t>(i)))];
  }
  return values;
}

}  // namespace kindred
