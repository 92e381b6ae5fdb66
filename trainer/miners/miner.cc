#include "trainer/miners/miner.h"

namespace kindred {

Registry<MinerEntry>& miner_registry(Device::Type device) {
  static Registry<MinerEntry> cpu("miner"), cuda("miner for cuda");
  return device == Device::cuda ? cuda : cpu;
}

void declare_miners(Options& options, const std::string& loss, const std::string& default_miner) {
  options.add(loss + ".miner", default_miner,
              "which pairs it learns from; one of: " + join(miner_registry().names()));
  for (const auto& [name, entry] : miner_registry().entries()) entry.make.declare(options, loss);
}

std::unique_ptr<Miner> make_miner(const Options& options, const std::string& loss, Device::Type device,
                                  bool may_weigh) {
  const std::string key = loss + ".miner", &name = options.get<std::string>(key);
  const Registry<MinerEntry>& miners = miner_registry(device);
  if (!miners.contains(name)) {
    fail_usage(options.source(key), ": ", unknown_name_text("miner", name, miners.names()));
  }
  std::unique_ptr<Miner> miner = miners.get(name).make.make(options, loss);
  if (miner->weighs() && !may_weigh) {
    fail_usage(options.source(key), ": miner '", name,
               "' makes one triplet of all pairs of an anchor, which only losses of triplets can use; loss '",
               loss, "' needs another");
  }
  return miner;
}

}  // namespace kindred
