// Streams of random numbers for data: each a pure function of (seed, purpose, index).
#pragma once

#include <cassert>
#include <cstdint>

#include "core/base/philox.hpp"

namespace weft {

// What a stream decides; keeps streams of equal seed and index apart. Values are Philox places, far
// from those of dropout and initialisation; source number s of several adds s.
enum class Purpose : std::uint32_t {
  chunk_order = 0xDA000000,   // index: epoch
  source_order = 0xDA100000,  // index: block of the mixture
  pair = 0xDA200000,          // index: sample
  mask = 0xDA300000,          // index: sample
};

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t index)
      : key_{seed, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(purpose)},
        group_(index & 0xFFFFFFFF00000000ULL) {}

  std::uint32_t next() {
    if (used_ == 4) {
      numbers_ = philox(key_, group_++);
      used_ = 0;
    }
    return numbers_.v[used_++];
  }

  // Uniform in [0, n), exactly; n > 0. Source: Lemire, "Fast random integer generation in an
  // interval", 2019.
  std::uint64_t below(std::uint64_t n) {
    assert(n > 0);
    if (n > 0xFFFFFFFF) return far_below(n);
    const auto m = static_cast<std::uint32_t>(n);
    const std::uint32_t reject = (0U - m) % m;
    for (;;) {
      const std::uint64_t product = std::uint64_t{next()} * m;
      if (static_cast<std::uint32_t>(product) >= reject) return product >> 32;
    }
  }

  // True with probability p, to 2^-32.
  bool chance(double p) { return static_cast<double>(next()) < p * 4294967296.0; }

  // True with probability 1/2, at the price of one bit.
  bool coin() {
    if (bits_ == 1) bits_ = (std::uint64_t{1} << 32) | next();  // the leading one ends the supply
    const bool side = (bits_ & 1) != 0;
    bits_ >>= 1;
    return side;
  }

 private:
  // Of numbers that 32 bits do not hold, two at a time.
  std::uint64_t far_below(std::uint64_t n) {
    const std::uint64_t reject = (0 - n) % n;
    for (;;) {
      const std::uint64_t high = next(), both = high << 32 | next();
      if (both >= reject) return both % n;
    }
  }

  PhiloxKey key_;
  std::uint64_t group_;
  Philox4 numbers_{};
  unsigned used_ = 4;
  std::uint64_t bits_ = 1;
};

}  // namespace weft
