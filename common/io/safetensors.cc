#include "common/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "common/base/error.h"
#include "common/base/json.h"
#include "common/io/file.h"

namespace kindred {

static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so is this code");

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr std::pair<DType, std::string_view> kTypes[] = {
    {DType::f32, "F32"}, {DType::bf16, "BF16"}, {DType::f16, "F16"}, {DType::i32, "I32"},
    {DType::i64, "I64"}, {DType::u8, "U8"},     {DType::f64, "F64"}};

DType parse_type(const std::string& text, std::string_view where) {
  std::vector<std::string> known;
  for (const auto& [type, name] : kTypes) {
    if (name == text) return type;
    known.emplace_back(name);
  }
  fail(where, " has type '", text, "', which is not read here (known: ", join(known), ")");
}

std::string_view type_text(DType type) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](auto& row) { return row.first == type; });
  KINDRED_ASSERT(found != std::end(kTypes));
  return found->second;
}

Shape parse_shape(const std::vector<int64_t>& dims, std::string_view where) {
  if (dims.size() > Shape::kMaxRank) {
    fail(where, " has ", dims.size(), " dimensions, expected at most ", Shape::kMaxRank);
  }
  int64_t elements = 1;
  for (const int64_t dim : dims) {
    if (dim < 0) fail(where, " has the negative dimension ", dim);
    if (__builtin_mul_overflow(elements, std::max<int64_t>(dim, 1), &elements) || elements > int64_t{1}
                                                                                                 << 48) {
      fail(where, " has a shape of more than 2^48 elements");
    }
  }
  return Shape(std::span(dims));
}

TensorEntry parse_entry(const std::string& name, const Json& json, std::string_view data,
                        std::string_view file) {
  const std::string where = concat(file, ": tensor '", name, "'");
  TensorEntry entry{.name = name,
                    .dtype = parse_type(json_get<std::string>(json, "dtype", where), where),
                    .shape = parse_shape(json_get<std::vector<int64_t>>(json, "shape", where), where),
                    .bytes = {}};
  const auto range = json_get<std::vector<uint64_t>>(json, "data_offsets", where);
  if (range.size() != 2) fail(where, " has ", range.size(), " data offsets, expected 2");
  if (range[0] > range[1] || range[1] > data.size()) {
    fail(where, " has the data offsets [", range[0], ",", range[1], "], the file holds ", data.size(),
         " bytes of data; is it truncated?");
  }
  const uint64_t needed = static_cast<uint64_t>(entry.shape.elements() * dtype_bytes(entry.dtype));
  if (range[1] - range[0] != needed) {
    fail(where, " has ", range[1] - range[0], " bytes of data, ", type_text(entry.dtype), " ", entry.shape,
         " needs ", needed);
  }
  entry.bytes = data.substr(range[0], range[1] - range[0]);
  return entry;
}

}  // namespace

SafetensorsFile SafetensorsFile::parse(std::string_view bytes, const std::string& name) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail(name, ": ", bytes.size(), " bytes are too few for a safetensors file; is it truncated?");
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.remove_prefix(sizeof length);
  if (length > kMaxHeader) {
    fail(name, ": a header of ", length, " bytes, expected at most ", kMaxHeader,
         "; is this a safetensors file?");
  }
  if (length > bytes.size()) {
    fail(name, ": a header of ", length, " bytes, the file holds ", bytes.size(), "; is it truncated?");
  }
  if (!bytes.substr(0, length).starts_with('{')) fail(name, ": the header does not begin with '{'");
  const std::string_view data = bytes.substr(length);
  const Json header = parse_json(bytes.substr(0, length), name);

  SafetensorsFile file;
  file.name_ = name;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      file.metadata_ = json_get<std::map<std::string, std::string>>(header, key, name);
    } else {
      file.tensors_.push_back(parse_entry(key, value, data, name));
    }
  }
  std::stable_sort(
      file.tensors_.begin(), file.tensors_.end(), [](const TensorEntry& a, const TensorEntry& b) {
        return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
      });
  const char* end = data.data();
  for (const TensorEntry& tensor : file.tensors_) {
    if (tensor.bytes.data() != end) {
      fail(name, ": the data of tensor '", tensor.name, "' ",
           tensor.bytes.data() < end ? "overlaps" : "leaves a hole behind", " the data before it");
    }
    end += tensor.bytes.size();
  }
  if (const auto rest = data.data() + data.size() - end; rest != 0) {
    fail(name, ": ", rest, " bytes behind the last tensor belong to none");
  }
  return file;
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  const auto mapping = std::make_shared<MappedFile>(path);
  SafetensorsFile file = parse(mapping->bytes(), path);
  file.mapping_ = mapping;
  return file;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorEntry& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

void write_safetensors(const std::string& path, const std::vector<TensorEntry>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  // Wide types first keeps every tensor aligned to its own element size, which readers that map the file rely
  // on.
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return dtype_bytes(a->dtype) > dtype_bytes(b->dtype);
  });

  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t offset = 0;
  for (const TensorEntry* tensor : order) {
    KINDRED_ASSERT(static_cast<int64_t>(tensor->bytes.size()) ==
                   tensor->shape.elements() * dtype_bytes(tensor->dtype));
    if (header.contains(tensor->name)) fail(path, ": two tensors are named '", tensor->name, "'");
    Json shape = Json::array();
    for (int i = 0; i < tensor->shape.rank(); ++i) shape.push_back(tensor->shape[i]);
    header[tensor->name] = {{"dtype", type_text(tensor->dtype)},
                            {"shape", std::move(shape)},
                            {"data_offsets", {offset, offset + tensor->bytes.size()}}};
    offset += tensor->bytes.size();
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');

  AtomicFile file(path);
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  for (const TensorEntry* tensor : order) file.write(tensor->bytes);
  file.commit();
}

}  // namespace kindred
