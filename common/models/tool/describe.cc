// kindred-model list and info: what networks there are, and what one is made of.
#include <cstdio>
#include <filesystem>

#include "common/models/model_file.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

struct Stage {
  std::string name;
  Shape output;
  int64_t parameters = 0, macs = 0;
};

/// "stages.2.blocks.0.conv" -> "stages.2", "stem.stem1.conv" -> "stem".
std::string stage_name(const std::string& node) {
  const size_t first = node.find('.');
  if (first == std::string::npos) return node;
  const size_t second = node.find('.', first + 1);
  const std::string next = node.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  const bool number = !next.empty() && next.find_first_not_of("0123456789") == std::string::npos;
  return number ? concat(node.substr(0, first), ".", next) : node.substr(0, first);
}

/// Nodes with one first name are a stage; batch norms and nodes without a scope belong to the stage before
/// them.
std::vector<Stage> stages_of(const Graph& graph) {
  std::vector<Stage> stages;
  for (const Node& node : graph.nodes()) {
    if (!node.op) continue;
    const std::string name = stage_name(node.name);
    const bool joins = !stages.empty() &&
                       (name == node.op->type() || (node.op->type() == "batch_norm" && name == node.name));
    if (stages.empty() || (!joins && stages.back().name != name))
      stages.push_back({.name = name, .output = {}});
    Stage& stage = stages.back();
    if (name != node.op->type()) stage.output = node.shape;  // the pool before a head is not the stage's
    for (const Param param : node.parameters) {
      const ParamInfo& info = graph.parameters().info(param);
      if (info.trainable) stage.parameters += info.shape.elements();
    }
    std::vector<Shape> inputs;
    for (const Value value : node.inputs) inputs.push_back(graph.shape(value));
    stage.macs += node.op->macs(inputs);
  }
  return stages;
}

std::string image_text(const ImageSpec& image) {
  const char* filter = image.interpolation == Interpolation::bilinear ? "bilinear" : "bicubic";
  const std::string size = concat(image.height, "x", image.width);
  if (image.resize == ResizeMode::stretch) return concat(size, ", stretched, ", filter);
  return concat(size, ", the middle of a picture with its short side at ", image.resize_short, ", ", filter);
}

void print_line(const char* key, const std::string& value) { std::printf("%-13s%s\n", key, value.c_str()); }

void print_network(const ModelConfig& config) {
  const BackboneEntry& entry = find_backbone(config.arch);
  ParameterSet parameters;
  const Graph graph = build_model(parameters, config, 1);
  int64_t buffers = 0;
  for (int i = 0; i < parameters.count(); ++i) {
    const ParamInfo& info = parameters.info({i});
    if (!info.trainable) buffers += info.shape.elements();
  }
  print_line("architecture",
             entry.timm_name.empty() ? config.arch : concat(config.arch, " (timm: ", entry.timm_name, ")"));
  print_line("image", image_text(config.image));
  for (const auto& [name, value] : graph.outputs())
    print_line("output", concat(name, " ", graph.shape(value)));
  print_line("parameters", concat(grouped(parameters.trainable_elements()), ", and ", grouped(buffers),
                                  " in running statistics"));
  print_line("MACs", concat(grouped(graph.macs()), " an image"));
  std::printf("\n%-16s%-20s%14s%12s\n", "stage", "output", "parameters", "MMACs");
  for (const Stage& stage : stages_of(graph)) {
    std::printf("%-16s%-20s%14s%12s\n", stage.name.c_str(), stage.output.text().c_str(),
                grouped(stage.parameters).c_str(), fixed(static_cast<double>(stage.macs) * 1e-6, 2).c_str());
  }
}

void print_file(const std::string& path) {
  const ModelInfo info = read_model_info(path);
  print_line("file", path);
  print_line("model id", info.model_id);
  for (const auto& [key, value] : info.metadata) {
    if (!key.starts_with("kindred.") && key != "format")
      print_line("metadata", concat(key, ": ", value.substr(0, 200)));
  }
  print_network(info.config);
}

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
                grouped(parameters.trainable_elements()).c_str(),
                fixed(static_cast<double>(graph.macs()) * 1e-6, 1).c_str());
  }
  return 0;
}

int model_info(int argc, const char* const* argv) {
  Options options("kindred-model info",
                  "Describes a model file, or an architecture as the options would make it.");
  options.positional("model", "a model file or the name of an architecture", 1, 1);
  add_network_options(options);
  if (options.parse(argc, argv) == Options::Outcome::done) return 0;
  const std::string& model = options.get<std::vector<std::string>>("model").front();
  // Names of architectures have no slash, and no suffix but timm's tags.
  const bool file = model.find('/') != std::string::npos || model.ends_with(".safetensors") ||
                    std::filesystem::exists(model);
  if (!file) {
    print_network(network_config(options, model));
    return 0;
  }
  for (const char* name : {"classes", "embedding", "tail", "bnneck", "image-size", "stem-pool"}) {
    if (options.given(name))
      fail_usage("--", name, " is for architectures; '", model, "' is a file, which has its own");
  }
  print_file(model);
  return 0;
}

}  // namespace kindred
