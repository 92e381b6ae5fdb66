// kindred-model list and info: what networks there are, and what one is made of.
#include <cstdio>
#include <filesystem>

#include "common/models/counts.h"
#include "common/models/model_file.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

std::string image_text(const ImageSpec& image) {
  const char* filter = image.interpolation == Interpolation::bilinear ? "bilinear" : "bicubic";
  constexpr const char* kChannels[kMaxChannels] = {"grey", "grey and alpha", "RGB", "RGB and alpha"};
  const std::string size = concat(image.height, "x", image.width, " ", kChannels[image.channels - 1]);
  if (image.resize == ResizeMode::stretch) return concat(size, ", stretched, ", filter);
  return concat(size, ", the middle of a picture with its short side at ", image.resize_short, ", ", filter);
}

void print_line(const char* key, const std::string& value) { std::printf("%-13s%s\n", key, value.c_str()); }

std::string millions(int64_t macs, int decimals) { return fixed(static_cast<double>(macs) * 1e-6, decimals); }

void print_network(const ModelConfig& config) {
  const std::string& timm = find_backbone(config.arch).timm_name;
  ParameterSet parameters;
  const Graph graph = build_model(parameters, config, 1);
  const NetworkCounts counts = count_network(graph);
  print_line("architecture", timm.empty() ? config.arch : concat(config.arch, " (timm: ", timm, ")"));
  print_line("image", image_text(config.image));
  for (const auto& [name, value] : graph.outputs())
    print_line("output", concat(name, " ", graph.shape(value)));
  print_line("parameters",
             concat(grouped(counts.parameters), ", and ", grouped(counts.buffers), " in running statistics"));
  print_line("MACs", concat(grouped(counts.macs), " an image"));
  if (counts.fused_macs != counts.macs) {
    print_line("inference", concat(grouped(counts.fused_parameters), " parameters and ",
                                   grouped(counts.fused_macs), " MACs, branches merged"));
  }
  std::printf("\n%-16s%-20s%14s%12s\n", "stage", "output", "parameters", "MMACs");
  for (const StageCounts& stage : count_stages(graph)) {
    std::printf("%-16s%-20s%14s%12s\n", stage.name.c_str(), stage.output.text().c_str(),
                grouped(stage.parameters).c_str(), millions(stage.macs, 2).c_str());
  }
}

Json dims(const Shape& shape) {
  Json list = Json::array();
  for (int i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
  return list;
}

/// The same numbers for programs.
Json network_json(const ModelConfig& config) {
  ParameterSet parameters;
  const Graph graph = build_model(parameters, config, 1);
  const NetworkCounts counts = count_network(graph);
  Json outputs = Json::object(), stages = Json::array();
  for (const auto& [name, value] : graph.outputs()) outputs[name] = dims(graph.shape(value));
  for (const StageCounts& stage : count_stages(graph)) {
    stages.push_back({{"name", stage.name},
                      {"output", dims(stage.output)},
                      {"parameters", stage.parameters},
                      {"macs", stage.macs}});
  }
  return {{"config", config.to_json()},
          {"timm", find_backbone(config.arch).timm_name},
          {"outputs", outputs},
          {"parameters", counts.parameters},
          {"running_statistics", counts.buffers},
          {"macs", counts.macs},
          {"inference", {{"parameters", counts.fused_parameters}, {"macs", counts.fused_macs}}},
          {"stages", stages}};
}

/// What others wrote into the file.
std::map<std::string, std::string> foreign_metadata(const ModelInfo& info) {
  std::map<std::string, std::string> rest = info.metadata;
  std::erase_if(
      rest, [](const auto& entry) { return entry.first.starts_with("kindred.") || entry.first == "format"; });
  return rest;
}

void print_file(const std::string& path) {
  const ModelInfo info = read_model_info(path);
  print_line("file", path);
  print_line("model id", info.model_id);
  for (const auto& [key, value] : foreign_metadata(info))
    print_line("metadata", concat(key, ": ", value.substr(0, 200)));
  print_network(info.config);
}

Json file_json(const std::string& path) {
  const ModelInfo info = read_model_info(path);
  Json json = network_json(info.config);
  json["file"] = path;
  json["model_id"] = info.model_id;
  json["metadata"] = foreign_metadata(info);
  return json;
}

void print_json(const Json& json) { std::printf("%s\n", json.dump(2).c_str()); }

}  // namespace

int model_list(int argc, const char* const* argv) {
  Options options("kindred-model list",
                  "Lists the architectures, with the numbers of their 1000-class ImageNet form.");
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  std::printf("%-21s%-33s%6s%14s%12s\n", "architecture", "timm", "image", "parameters", "MMACs");
  for (const std::string& name : backbone_names()) {
    const BackboneEntry& entry = find_backbone(name);
    ModelConfig config;
    config.arch = name, config.classes = 1000, config.image = entry.image;
    ParameterSet parameters;
    const Graph graph = build_model(parameters, config, 1);
    std::printf("%-21s%-33s%6d%14s%12s\n", name.c_str(),
                entry.timm_name.empty() ? "-" : entry.timm_name.c_str(), entry.image.height,
                grouped(parameters.trainable_elements()).c_str(), millions(graph.macs(), 1).c_str());
  }
  return 0;
}

int model_info(int argc, const char* const* argv) {
  Options options("kindred-model info",
                  "Describes a model file, or an architecture as the options would make it.");
  options.positional("model", "a model file or the name of an architecture", 1, 1);
  options.add<bool>("json", false, "print JSON");
  add_network_options(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string& model = options.get<std::vector<std::string>>("model").front();
  // Names of architectures have no slash, and no suffix but timm's tags.
  const bool file = model.find('/') != std::string::npos || model.ends_with(".safetensors") ||
                    std::filesystem::exists(model);
  const bool json = options.get<bool>("json");
  if (!file) {
    const ModelConfig config = network_config(options, model);
    json ? print_json(network_json(config)) : print_network(config);
    return 0;
  }
  for (const char* name : {"classes", "embedding", "tail", "bnneck", "image-size", "channels", "stem-pool"}) {
    if (options.given(name))
      fail_usage("--", name, " is for architectures; '", model, "' is a file, which has its own");
  }
  json ? print_json(file_json(model)) : print_file(model);
  return 0;
}

}  // namespace kindred
