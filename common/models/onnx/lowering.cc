#include "common/models/onnx/lowering.h"

namespace kindred {

Registry<LoweringFn>& lowering_registry() {
  static Registry<LoweringFn> registry("op in ONNX");
  return registry;
}

std::string NodeLowering::input(size_t i, Channels wanted) {
  OnnxValue& value = values_[static_cast<size_t>(node_.inputs[i].id)];
  if (value.channels != wanted) {  // and it stays so for the next reader
    KINDRED_ASSERT(is_map(i));
    value.name =
        wanted == Channels::first ? transpose(value.name, {0, 3, 1, 2}) : transpose(value.name, {0, 2, 3, 1});
    value.channels = wanted;
  }
  return value.name;
}

std::vector<float> NodeLowering::parameter(size_t i) const {
  return graph_.parameters().to_file_layout(node_.parameters[i]);
}

std::string NodeLowering::parameter_constant(size_t i, const Shape& shape) {
  const std::string& name = graph_.parameters().info(node_.parameters[i]).name;
  return onnx_.constant(name, shape, parameter(i));
}

std::string NodeLowering::reshape(const std::string& x, const std::vector<int64_t>& dims) {
  return add("Reshape", {x, onnx_.whole_numbers(dims)});
}

std::string NodeLowering::transpose(const std::string& x, const std::vector<int64_t>& order) {
  return add("Transpose", {x}, {{"perm", order}});
}

std::string NodeLowering::slice(const std::string& x, int64_t axis, int64_t begin, int64_t end) {
  const auto one = [&](int64_t value) { return onnx_.whole_numbers({&value, 1}); };
  return add("Slice", {x, one(begin), one(end), one(axis)});
}

}  // namespace kindred
