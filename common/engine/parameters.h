// Flat parameters. Values and gradients each live in one contiguous fp32 buffer (optimiser slots follow the
// same order), laid out so that slices become final one after the other while backward runs: the parameter
// used last in forward comes first. Buffers (running statistics) have a block of their own and no gradient.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/tensor.h"
#include "common/engine/stream.h"

namespace kindred {

/// How a tensor of a file lies in memory.
enum class ParamLayout : uint8_t {
  plain,  // as in the file
  ohwi,   // convolution: file [O, I/g, kh, kw], memory [O, kh, kw, I/g]
  hwc,    // depthwise convolution: file [C, 1, kh, kw], memory [kh, kw, C]
};

/// How fresh values are drawn: a pure function of (seed, name, index), whatever the order of declaration.
struct Init {
  enum Kind : uint8_t { constant, normal, truncated_normal, uniform } kind = constant;
  double a =
      0;  // constant: the value; normal and truncated (at 2 std): the standard deviation; uniform: the bound
  static Init value(double v) { return {constant, v}; }
  static Init normal_std(double std) { return {normal, std}; }
  static Init truncated_std(double std) { return {truncated_normal, std}; }
  static Init uniform_bound(double bound) { return {uniform, bound}; }
};

struct ParamInfo {
  std::string name;  // timm's state-dict name
  Shape file_shape;  // as in the model file
  Shape shape;       // in memory
  ParamLayout layout = ParamLayout::plain;
  Init init;
  bool trainable = true;  // false: a buffer, such as a running mean
  bool decay = true;      // weight decay applies; false for norms and biases
  bool exempt = false;    // never decays, not even where a recipe decays biases: norms
  double lr_scale = 1;    // multiplies the learning rate
  bool sharded = false;   // its rows are shared out among the ranks, see ParameterSet
  int64_t unit_rows = 1;  // of a sharded one: so many neighbours stay together
  int64_t offset = -1;    // elements from the start of its block; known once frozen; -1 when sharded
  int64_t first_row = 0;  // of file_shape, where this rank's part begins
  int64_t rows = 0;       // that this rank's part has
};

/// A parameter's place in its ParameterSet.
struct Param {
  int id = -1;
};

/// The gradient of some rows of a sharded parameter. Optimisers leave all others as they are.
struct RowGradients {
  Tensor rows;    // [n] i64, ascending, counted within the rank's part; empty for none
  Tensor values;  // [n, D]
};

/// Sharded parameters (class centres by the million) lie outside the flat blocks: rank r of R holds the rows
/// [r ceil(n / R), (r + 1) ceil(n / R)) of n (in units of unit_rows), nobody sums their gradients over ranks,
/// and a step brings gradients of a few rows only. Their fresh values are those of the same parameter in one
/// piece.
class ParameterSet {
 public:
  /// rank: of `ranks` that share out the rows of sharded parameters.
  explicit ParameterSet(int rank = 0, int ranks = 1) : rank_(rank), ranks_(ranks) {}

  /// Throws Error when the name is taken or the layout does not fit the shape. Requires: not frozen; sharded
  /// ones have a plain layout, are trainable and start constant or normal.
  /// info.shape, offset, first_row and rows are computed.
  Param add(ParamInfo info);

  /// Fixes the order and allocates on the stream's device; the stream must outlive the set. Parameters lie in
  /// reverse order of their `add` calls, each starting at a multiple of 16 elements.
  void freeze(Stream& stream);
  bool frozen() const { return frozen_; }

  int count() const { return static_cast<int>(infos_.size()); }
  const ParamInfo& info(Param param) const { return infos_[static_cast<size_t>(param.id)]; }
  /// Throws Error naming the nearest name.
  Param find(std::string_view name) const;
  bool contains(std::string_view name) const;

  /// In memory layout. Views into the flat blocks; gradient is empty for buffers. Of a sharded parameter
  /// value is this rank's part [ceil(n / R), ...], zero past info.rows, and gradient is empty.
  Tensor value(Param param) const;
  Tensor gradient(Param param) const;

  Tensor values() const { return values_; }        // all trainable values, flat, padding zero
  Tensor gradients() const { return gradients_; }  // same order as values
  Tensor buffers() const { return buffers_; }

  std::vector<Param> sharded() const;
  /// What the next optimiser step reads; set anew in every step.
  void set_row_gradients(Param param, RowGradients gradients);
  const RowGradients& row_gradients(Param param) const;

  /// Trainable elements of all ranks together, padding left out.
  int64_t trainable_elements() const;

  /// Counts changes of values: kernels repack weights when it moves. Whoever writes values calls `touch`.
  int64_t version() const { return version_; }
  void touch() { ++version_; }

  /// Fresh values for every parameter and buffer.
  void initialize(uint64_t seed);

  /// Copies between the file's layout (host, f32) and memory. set_ throws Error when the count is not the
  /// whole parameter's; of a sharded one it keeps this rank's part. to_ requires: not sharded.
  void set_from_file_layout(Param param, std::span<const float> values);
  std::vector<float> to_file_layout(Param param) const;

 private:
  Tensor view(Param param, const Tensor& block) const;
  void store(Param param, std::span<const float> values);

  struct Shard {
    Tensor values;
    RowGradients gradients;
  };

  const int rank_, ranks_;
  std::vector<ParamInfo> infos_;
  std::map<int, Shard> shards_;  // by Param::id
  std::map<std::string, int, std::less<>> by_name_;
  Stream* stream_ = nullptr;  // outlives the set
  Tensor values_, gradients_, buffers_;
  int64_t version_ = 0;
  bool frozen_ = false;
};

}  // namespace kindred
