// Runs one fuzz target over its corpus and over mutations of it, without a fuzzer: whatever crashes here
// would crash on a user's broken file. KINDRED_CORPUS is the folder of the target's inputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "common/base/philox.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace kindred {
namespace {

// A copy on the heap of exactly this size, so that a sanitizer sees every read beyond it.
void run(const std::string& input) {
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
}

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(KINDRED_CORPUS)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

TEST(Replay, HasACorpus) { EXPECT_FALSE(corpus().empty()); }

TEST(Replay, SurvivesTheCorpus) {
  run("");
  for (const std::string& input : corpus()) run(input);
}

TEST(Replay, SurvivesInputsThatAreCutOff) {
  for (const std::string& input : corpus()) {
    const size_t stride = 1 + input.size() / 512;
    for (size_t length = 0; length < input.size(); length += stride) run(input.substr(0, length));
  }
}

TEST(Replay, SurvivesFlippedBits) {
  for (const std::string& input : corpus()) {
    const size_t stride = 1 + 8 * input.size() / 4096;
    for (size_t bit = 0; bit < 8 * input.size(); bit += stride) {
      std::string flipped = input;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      run(flipped);
    }
  }
}

TEST(Replay, SurvivesBytesReplacedInsertedDroppedAndRepeated) {
  Random random(1, {0, 0, 0});
  for (const std::string& input : corpus()) {
    if (input.empty()) continue;
    for (int round = 0; round < 1000; ++round) {
      std::string mutated = input;
      for (int64_t edit = random.below(8); edit >= 0 && !mutated.empty(); --edit) {
        const auto at = static_cast<size_t>(random.below(static_cast<int64_t>(mutated.size())));
        const auto length = static_cast<size_t>(random.below(16));
        switch (random.below(4)) {
          case 0:
            mutated[at] = static_cast<char>(random.word());
            break;
          case 1:
            mutated.insert(at, length, static_cast<char>(random.word()));
            break;
          case 2:
            mutated.erase(at, length);
            break;
          default:
            mutated.insert(at, mutated.substr(at, length));
        }
      }
      run(mutated);
    }
  }
}

}  // namespace
}  // namespace kindred
