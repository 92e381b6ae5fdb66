#include "trainer/losses/loss.h"

#include <set>

namespace kindred {

Registry<LossEntry>& loss_registry(Device::Type device) {
  static Registry<LossEntry> cpu("loss"), cuda("loss for cuda");
  return device == Device::cuda ? cuda : cpu;
}

std::vector<std::pair<std::unique_ptr<Loss>, double>> make_losses(const std::vector<std::string>& words,
                                                                  const Options& options,
                                                                  Device::Type device) {
  const Registry<LossEntry>& known = loss_registry(device);
  std::vector<std::pair<std::unique_ptr<Loss>, double>> losses;
  std::set<std::string> seen;
  for (const std::string& word : words) {
    const size_t star = word.find('*');
    const std::string name = word.substr(0, star);
    if (!known.contains(name)) fail_usage(unknown_name_text("loss", name, known.names()));
    if (!seen.insert(name).second) fail_usage("loss '", name, "' is named twice in '", join(words, " "), "'");
    double weight = 1;
    if (star != std::string::npos) {
      try {
        weight = parse_double(word.substr(star + 1), "the weight");
      } catch (const Error& error) {
        fail_usage("loss '", word, "': ", error.what());
      }
      if (weight <= 0) fail_usage("loss '", word, "': the weight must be more than 0");
    }
    losses.emplace_back(known.get(name).make.make(options), weight);
  }
  if (losses.empty()) fail_usage("no loss is named; known: ", join(known.names()));
  return losses;
}

}  // namespace kindred
