// Counter-based random numbers: a pure function of a key and a counter, the same on every device and rank.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (Philox4x32-10).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define KINDRED_PHILOX __host__ __device__ inline
#else
#define KINDRED_PHILOX inline
#endif

namespace kindred {

struct PhiloxBlock {
  uint32_t word[4];
};

/// Four random words of counter (c0, c1, c2, c3) under a 64-bit key.
KINDRED_PHILOX PhiloxBlock philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1), c3 = static_cast<uint32_t>(p0), c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// A word as a float in [0, 1): 24 bits, so that the float holds it exactly.
KINDRED_PHILOX float unit_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// A stream of draws under one key: `Random(seed, {epoch, sample, purpose})`. Host only.
class Random {
 public:
  Random(uint64_t seed, std::array<uint64_t, 3> path) : key_(seed) {
    for (uint64_t part : path) {  // fold the path into the key, so that equal counters never share a stream
      const PhiloxBlock block =
          philox(key_, static_cast<uint32_t>(part), static_cast<uint32_t>(part >> 32), 0x6b696e64u, 0);
      key_ = uint64_t{block.word[0]} << 32 | block.word[1];
    }
  }

  uint32_t word() {
    if (used_ == 4) {
      block_ = philox(key_, static_cast<uint32_t>(counter_), static_cast<uint32_t>(counter_ >> 32), 0, 0);
      ++counter_;
      used_ = 0;
    }
    return block_.word[used_++];
  }

  /// Goes on as if `words` more words had been drawn. A uniform takes two words, a normal four.
  void skip(uint64_t words) {
    for (; words > 0 && used_ < 4; --words) ++used_;
    counter_ += words / 4;
    for (words %= 4; words > 0; --words) word();
  }

  /// In [0, 1).
  double uniform() {
    const uint64_t high = word(), low = word();  // drawn in this order: an operator's operands have none
    return static_cast<double>(high << 21 ^ low >> 11) * 0x1p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// In [0, n). Requires n >= 1. Unbiased to 2^-32.
  int64_t below(int64_t n) {
    __extension__ using Wide = unsigned __int128;  // not in ISO C++, in every compiler we use
    const uint64_t high = word(), low = word();
    return static_cast<int64_t>(static_cast<Wide>(high << 32 | low) * static_cast<uint64_t>(n) >> 64);
  }

  /// Standard normal by Box and Muller; one of the pair is thrown away, so that a draw costs a fixed count of
  /// words.
  double normal() {
    const double u = 1 - uniform(), v = uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  uint64_t key_;
  uint64_t counter_ = 0;
  PhiloxBlock block_{};
  int used_ = 4;
};

}  // namespace kindred
