#include "common/models/onnx/onnx_graph.h"

#include "common/base/hash.h"
#include "common/base/version.h"

namespace kindred {

namespace {

// Numbers of fields and enums in onnx.proto.
enum TensorType : uint8_t { kFloat = 1, kInt64 = 7, kBool = 9 };
enum AttributeType : uint8_t { kAttributeFloat = 1, kAttributeInt = 2, kAttributeInts = 7 };
constexpr int kIrVersion = 8, kOpset = 17;
constexpr size_t kMaxBytes = (size_t{1} << 31) - 1;

template <class T>
std::string_view raw(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

std::vector<int64_t> dims_of(const Shape& shape) {
  std::vector<int64_t> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return dims;
}

ProtoMessage attribute_proto(const OnnxAttribute& attribute) {
  ProtoMessage proto;
  proto.text(1, attribute.name);
  if (const auto* whole = std::get_if<int64_t>(&attribute.value)) {
    proto.number(3, *whole);
    proto.number(20, kAttributeInt);
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    proto.real(2, *real);
    proto.number(20, kAttributeFloat);
  } else {
    for (const int64_t value : std::get<std::vector<int64_t>>(attribute.value)) proto.number(8, value);
    proto.number(20, kAttributeInts);
  }
  return proto;
}

}  // namespace

ProtoMessage OnnxGraph::port(const std::string& name, std::span<const int64_t> dims) {
  ProtoMessage shape;
  for (const int64_t dim : dims) {
    ProtoMessage dimension;
    if (dim == kAnyBatch) {
      dimension.text(2, "batch");
    } else {
      dimension.number(1, dim);
    }
    shape.message(1, dimension);
  }
  ProtoMessage tensor, type, value;
  tensor.number(1, kFloat);
  tensor.message(2, shape);
  type.message(1, tensor);
  value.text(1, name);
  value.message(2, type);
  return value;
}

std::string OnnxGraph::unique(const std::string& name) {
  const int uses = uses_[name]++;
  return uses == 0 ? name : unique(concat(name, "_", uses));
}

std::string OnnxGraph::node(std::string_view op, const std::string& name,
                            const std::vector<std::string>& inputs,
                            const std::vector<OnnxAttribute>& attributes, int outputs) {
  const std::string output = unique(name);
  ProtoMessage proto;
  for (const std::string& input : inputs) proto.text(1, input);
  proto.text(2, output);
  for (int i = 1; i < outputs; ++i) proto.text(2, concat(output, ":", i));
  proto.text(3, output);
  proto.text(4, op);
  for (const OnnxAttribute& attribute : attributes) proto.message(5, attribute_proto(attribute));
  nodes_.message(1, proto);
  return output;
}

std::string OnnxGraph::store(const std::string& name, int type, std::span<const int64_t> dims,
                             std::string_view bytes) {
  const std::string key = concat(type, " ", Shape(dims), " ", sha256_hex(bytes));
  const auto [known, fresh] = constant_names_.emplace(key, "");
  if (!fresh) return known->second;
  known->second = unique(name);
  ProtoMessage tensor;
  for (const int64_t dim : dims) tensor.number(1, dim);
  tensor.number(2, type);
  tensor.text(8, known->second);
  tensor.text(9, bytes);
  constants_.message(5, tensor);
  return known->second;
}

std::string OnnxGraph::constant(const std::string& name, const Shape& shape, std::span<const float> values) {
  KINDRED_ASSERT(shape.elements() == static_cast<int64_t>(values.size()));
  return store(name, kFloat, dims_of(shape), raw(values));
}

std::string OnnxGraph::whole_numbers(std::span<const int64_t> values) {
  const int64_t count[] = {static_cast<int64_t>(values.size())};
  return store("numbers", kInt64, count, raw(values));
}

std::string OnnxGraph::number(float value) { return constant("number", {}, {&value, 1}); }

std::string OnnxGraph::truths(const std::string& name, const Shape& shape, std::span<const uint8_t> values) {
  KINDRED_ASSERT(shape.elements() == static_cast<int64_t>(values.size()));
  return store(name, kBool, dims_of(shape), raw(values));
}

std::string OnnxGraph::serialize(const std::string& graph_name,
                                 const std::map<std::string, std::string>& metadata) const {
  if (constants_.bytes().size() > kMaxBytes)
    fail("an ONNX file holds at most 2 GiB; this network has ",
         bytes_text(static_cast<int64_t>(constants_.bytes().size())));
  ProtoMessage name;
  name.text(2, graph_name);
  const std::string graph =
      concat(nodes_.bytes(), name.bytes(), constants_.bytes(), inputs_.bytes(), outputs_.bytes());
  ProtoMessage opset, model;
  opset.text(1, "");
  opset.number(2, kOpset);
  model.number(1, kIrVersion);
  model.text(2, "kindred");
  model.text(3, kVersion);
  model.text(7, graph);
  model.message(8, opset);
  for (const auto& [key, value] : metadata) {
    ProtoMessage entry;
    entry.text(1, key);
    entry.text(2, value);
    model.message(14, entry);
  }
  return model.bytes();
}

}  // namespace kindred
