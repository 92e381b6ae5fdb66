// An ONNX graph under construction, and its file. Source: onnx/onnx.proto (IR version 8) and the operators of
// opset 17.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/tensor.h"
#include "common/models/onnx/protobuf.h"

namespace kindred {

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, float, std::vector<int64_t>> value;
};

class OnnxGraph {
 public:
  static constexpr int64_t kAnyBatch = -1;  // a dimension that the caller of the model chooses

  /// An f32 input or output of the whole model. An output stands for the tensor `name`.
  void input(const std::string& name, std::span<const int64_t> dims) {
    inputs_.message(11, port(name, dims));
  }
  void output(const std::string& name, std::span<const int64_t> dims) {
    outputs_.message(12, port(name, dims));
  }

  /// Adds a node and returns the name of its (first) output; `outputs` more are NAME, NAME:1, ...
  std::string node(std::string_view op, const std::string& name, const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {}, int outputs = 1);

  /// Constants. Equal ones are stored once; `name` is a wish.
  std::string constant(const std::string& name, const Shape& shape, std::span<const float> values);
  std::string whole_numbers(std::span<const int64_t> values);
  std::string number(float value);
  /// True where a byte is not 0.
  std::string truths(const std::string& name, const Shape& shape, std::span<const uint8_t> values);

  /// The file. Throws Error when it would pass the 2 GiB that protobuf allows.
  std::string serialize(const std::string& graph_name,
                        const std::map<std::string, std::string>& metadata) const;

 private:
  static ProtoMessage port(const std::string& name, std::span<const int64_t> dims);
  std::string unique(const std::string& name);
  std::string store(const std::string& name, int type, std::span<const int64_t> dims, std::string_view bytes);

  ProtoMessage nodes_, constants_, inputs_, outputs_;
  std::map<std::string, int> uses_;                    // of names
  std::map<std::string, std::string> constant_names_;  // by digest of type, shape and content
};

}  // namespace kindred
