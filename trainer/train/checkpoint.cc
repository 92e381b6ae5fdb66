#include "trainer/train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "common/base/hash.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/engine/precision.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "common/models/model_file.h"
#include "trainer/dist/shards.h"

namespace kindred {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "step-";
constexpr const char* kTemporary = ".writing-";

// One line a parameter: what lies where. Two layouts are interchangeable exactly when these are equal.
std::string layout_text(const ParameterSet& parameters) {
  std::string text;
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info(Param{i});
    text += info.sharded
                ? concat(info.name, " ", info.file_shape, " sharded\n")
                : concat(info.name, " ", info.shape, info.trainable ? " @" : " buffer @", info.offset, "\n");
  }
  return text;
}

NamedTensors state_tensors(const ParameterSet& parameters, Optimizer& optimizer, const NamedTensors& more) {
  NamedTensors tensors{{"values", parameters.values()}};
  if (parameters.buffers()) tensors.emplace_back("buffers", parameters.buffers());
  for (const auto& [name, tensor] : optimizer.slots()) tensors.emplace_back("optimizer." + name, tensor);
  tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

// What the ranks share out: this rank's part of each, and its whole shape.
struct ShardedTensor {
  std::string name;
  Tensor mine;
  Shape shape;
};

std::vector<ShardedTensor> sharded_state(const ParameterSet& parameters, Optimizer& optimizer) {
  std::vector<ShardedTensor> tensors;
  for (const Param param : parameters.sharded()) {
    const ParamInfo& info = parameters.info(param);
    tensors.push_back({"sharded." + info.name, parameters.value(param), info.file_shape});
  }
  for (const ShardSlot& slot : optimizer.shard_slots()) {
    const ParamInfo& info = parameters.info(slot.param);
    tensors.push_back({concat("optimizer.", slot.name, ".", info.name), slot.tensor, info.file_shape});
  }
  return tensors;
}

// N of "step-N", or -1.
int64_t step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.rfind(kPrefix, 0) != 0) return -1;
  const std::string digits = name.substr(std::strlen(kPrefix));
  if (digits.empty() || digits.size() > 15 || digits.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return parse_int(digits, name);
}

std::vector<fs::path> checkpoints_newest_first(const std::string& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (step_of(entry.path()) >= 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return step_of(a) > step_of(b); });
  return found;
}

Json read_manifest(const std::string& checkpoint) {
  const std::string path = checkpoint + "/checkpoint.json";
  return parse_json(read_file(path, 64 << 20), path);
}

// Throws Error when a file is missing or differs from what the manifest says.
void check_files(const std::string& checkpoint, const Json& manifest) {
  for (const char* name : {"model.safetensors", "state.safetensors"}) {
    const std::string path = concat(checkpoint, "/", name);
    const auto expected =
        json_get<std::string>(manifest, concat("sha256 ", name), checkpoint + "/checkpoint.json");
    if (const std::string found = sha256_file(path); found != expected) {
      fail(path, ": the checksum is ", found.substr(0, 12), "..., checkpoint.json says ",
           expected.substr(0, 12), "...; the file is damaged");
    }
  }
}

}  // namespace

std::vector<WholeTensor> gather_sharded(Stream& stream, Communicator& communicator,
                                        const ParameterSet& parameters, Optimizer& optimizer) {
  std::vector<WholeTensor> wholes;
  for (const ShardedTensor& tensor : sharded_state(parameters, optimizer)) {
    wholes.push_back(
        {tensor.name, tensor.shape, gather_rows(stream, communicator, tensor.mine, tensor.shape[0])});
  }
  return wholes;
}

void scatter_sharded(Stream& stream, Communicator& communicator, const std::vector<WholeTensor>& wholes,
                     ParameterSet& parameters, Optimizer& optimizer) {
  const std::vector<ShardedTensor> tensors = sharded_state(parameters, optimizer);
  static const std::vector<float> kNotHere;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::vector<float>& whole = communicator.rank() == 0 ? wholes[i].values : kNotHere;
    scatter_rows(stream, communicator, whole, tensors[i].mine, tensors[i].shape[0]);
  }
  parameters.touch();
}

void write_checkpoint(const std::string& folder, const CheckpointState& state, const ModelConfig& config,
                      const ParameterSet& parameters, Optimizer& optimizer,
                      const std::vector<WholeTensor>& wholes, const NamedTensors& more, int keep) {
  const std::string name = concat(kPrefix, state.step);
  const fs::path temporary = fs::path(folder) / (kTemporary + name), final_path = fs::path(folder) / name;
  try {
    fs::create_directories(folder);
    fs::remove_all(temporary);
    fs::create_directory(temporary);
    save_model(temporary / "model.safetensors", config, parameters);

    std::vector<TensorEntry> entries;
    for (const auto& [tensor_name, tensor] : state_tensors(parameters, optimizer, more)) {
      entries.push_back({tensor_name,
                         tensor.dtype(),
                         tensor.shape(),
                         {static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes())}});
    }
    for (const WholeTensor& whole : wholes) {
      entries.push_back(
          {whole.name,
           DType::f32,
           whole.shape,
           {reinterpret_cast<const char*>(whole.values.data()), whole.values.size() * sizeof(float)}});
    }
    write_safetensors(temporary / "state.safetensors", entries, {});

    Json manifest;
    manifest["format"] = 1;
    manifest["step"] = state.step;
    manifest["steps_per_epoch"] = state.steps_per_epoch;
    manifest["global_batch"] = state.global_batch;
    manifest["seed"] = state.seed;
    manifest["world_size"] = state.world_size;
    manifest["threads"] = state.threads;
    manifest["precision"] = precision_text(state.precision);
    manifest["optimizer_steps"] = optimizer.steps_done();
    for (const char* file : {"model.safetensors", "state.safetensors"}) {
      manifest[concat("sha256 ", file)] = sha256_file(temporary / file);
    }
    manifest["layout"] = layout_text(parameters);
    write_file(temporary / "checkpoint.json", manifest.dump(1));

    fs::remove_all(final_path);  // a damaged one of the same step, from before a resume
    fs::rename(temporary, final_path);
    sync_folder(folder);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    fail("checkpoint ", final_path.string(), ": ", error.what());
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }

  const std::vector<fs::path> all = checkpoints_newest_first(folder);
  for (size_t i = static_cast<size_t>(keep); i < all.size(); ++i) {
    std::error_code ignored;  // one checkpoint too many is no reason to stop a run
    fs::remove_all(all[i], ignored);
  }
}

std::optional<std::string> newest_checkpoint(const std::string& folder) {
  for (const fs::path& path : checkpoints_newest_first(folder)) {
    try {
      check_files(path, read_manifest(path));
      return path.string();
    } catch (const Error& error) {
      log_warning(error.what(), "; passed over");
    }
  }
  return std::nullopt;
}

CheckpointState read_checkpoint(const std::string& checkpoint, ParameterSet& parameters, Optimizer& optimizer,
                                std::vector<WholeTensor>& wholes, const NamedTensors& more) {
  const std::string what = checkpoint + "/checkpoint.json";
  const Json manifest = read_manifest(checkpoint);
  if (const auto format = json_get<int64_t>(manifest, "format", what); format != 1) {
    fail(what, ": format ", format, ", this version reads format 1; use the version that wrote it");
  }
  check_files(checkpoint, manifest);
  const std::vector<std::string> have = split(json_get<std::string>(manifest, "layout", what), '\n');
  const std::vector<std::string> need = split(layout_text(parameters), '\n');
  for (size_t i = 0; i < std::max(have.size(), need.size()); ++i) {
    const std::string a = i < have.size() ? have[i] : "nothing", b = i < need.size() ? need[i] : "nothing";
    if (a != b) fail(what, ": written for another network: it holds '", a, "' where this run has '", b, "'");
  }

  const SafetensorsFile file = SafetensorsFile::open(checkpoint + "/state.safetensors");
  const NamedTensors tensors = state_tensors(parameters, optimizer, more);
  const std::vector<ShardedTensor> sharded = sharded_state(parameters, optimizer);
  const auto check = [&](const std::string& name, const Shape& shape, DType dtype) {
    const TensorEntry* entry = file.find(name);
    if (entry == nullptr)
      fail(file.name(), ": tensor '", name,
           "' is missing; was the run made with another optimizer or without bank.size?");
    if (entry->shape != shape || entry->dtype != dtype)
      fail(file.name(), ": tensor '", name, "' has shape ", entry->shape, ", this run needs ", shape);
  };
  for (const auto& [name, tensor] : tensors) check(name, tensor.shape(), tensor.dtype());
  for (const ShardedTensor& tensor : sharded) check(tensor.name, tensor.shape, DType::f32);
  if (const size_t needed = tensors.size() + sharded.size(); file.tensors().size() != needed) {
    fail(file.name(), ": holds ", file.tensors().size(), " tensors, this run needs ", needed,
         "; was the run made with another optimizer or with bank.size?");
  }
  for (const auto& [name, tensor] : tensors)
    std::memcpy(tensor.raw(), file.find(name)->bytes.data(), static_cast<size_t>(tensor.bytes()));
  wholes.clear();
  for (const ShardedTensor& tensor : sharded) {
    wholes.push_back(
        {tensor.name, tensor.shape, std::vector<float>(static_cast<size_t>(tensor.shape.elements()))});
    const TensorEntry& entry = *file.find(tensor.name);
    std::memcpy(wholes.back().values.data(), entry.bytes.data(), entry.bytes.size());
  }
  optimizer.set_steps_done(json_get<int64_t>(manifest, "optimizer_steps", what));
  parameters.touch();

  CheckpointState state;
  state.step = json_get<int64_t>(manifest, "step", what);
  state.steps_per_epoch = json_get<int64_t>(manifest, "steps_per_epoch", what);
  state.global_batch = json_get<int64_t>(manifest, "global_batch", what);
  state.seed = json_get<uint64_t>(manifest, "seed", what);
  state.world_size = json_get<int>(manifest, "world_size", what);
  state.threads = json_get<int>(manifest, "threads", what);
  state.precision = parse_precision(json_get<std::string>(manifest, "precision", what));
  return state;
}

}  // namespace kindred
