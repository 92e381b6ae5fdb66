// kindred-model: lists, describes, makes, converts, runs and measures networks.
#include <cstdio>
#include <string_view>

#include "common/base/text.h"
#include "common/base/version.h"
#include "common/models/tool/tool.h"

namespace kindred {

namespace {

struct Command {
  const char* name;
  int (*run)(int argc, const char* const* argv);
  const char* help;
};

constexpr Command kCommands[] = {
    {"list", model_list, "the architectures"},
    {"info", model_info, "what a model file or an architecture is made of"},
    {"init", model_init, "write fresh weights"},
    {"import", model_import, "make a model file of public weights"},
    {"export", model_export, "write a model for others to read: ONNX, half precision"},
    {"forward", model_forward, "run a network on an array"},
    {"step", model_step, "one training step from a given gradient, for comparisons"},
    {"bench", model_bench, "measure images a second"},
};

std::string usage() {
  std::string text = "usage: kindred-model COMMAND [OPTIONS]\n\ncommands (each has --help):\n";
  for (const Command& command : kCommands) {
    text += concat("  ", command.name, std::string(10 - std::string_view(command.name).size(), ' '),
                   command.help, "\n");
  }
  return text;
}

int run(int argc, const char* const* argv) {
  if (argc < 2) fail_usage("a command is missing\n", usage());
  const std::string_view name = argv[1];
  if (name == "--help" || name == "-h") {
    std::fputs(usage().c_str(), stdout);
    return 0;
  }
  if (name == "--version") {
    std::printf("%s\n", version_text("kindred-model").c_str());
    return 0;
  }
  std::vector<std::string> known;
  for (const Command& command : kCommands) {
    if (name == command.name) return command.run(argc - 1, argv + 1);
    known.emplace_back(command.name);
  }
  fail_usage(unknown_name_text("command", name, known));
}

}  // namespace

}  // namespace kindred

int main(int argc, char** argv) {
  return kindred::run_main("kindred-model", [&] { return kindred::run(argc, argv); });
}
