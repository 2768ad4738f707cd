// Philox4x32-10, the counter-based generator behind every random number in Weft, shared by CPU and
// CUDA.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/base/host_device.hpp"

namespace weft {

struct Philox4 {
  std::uint32_t v[4];
};

// Names one stream of random numbers; element i of it is a pure function of (key, i), so a mask or
// an initial weight does not depend on the layout of ranks or on the number of threads.
struct PhiloxKey {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;   // training step, or what else counts
  std::uint32_t place = 0;  // which dropout, which parameter, which purpose
};

WEFT_HOST_DEVICE inline Philox4 philox4x32(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2,
                                           std::uint32_t c3, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// The key of another step, where `step` is not null.
WEFT_HOST_DEVICE inline PhiloxKey in_step(PhiloxKey key, const std::int32_t* step) {
  if (step != nullptr) key.step = static_cast<std::uint32_t>(*step);
  return key;
}

// Four 32-bit numbers for elements 4 * group ... 4 * group + 3 of the stream.
WEFT_HOST_DEVICE inline Philox4 philox(const PhiloxKey& key, std::uint64_t group) {
  return philox4x32(static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32),
                    key.place, key.step, static_cast<std::uint32_t>(key.seed),
                    static_cast<std::uint32_t>(key.seed >> 32));
}

// The 32-bit number of one element.
WEFT_HOST_DEVICE inline std::uint32_t philox_u32(const PhiloxKey& key, std::uint64_t element) {
  return philox(key, element / 4).v[element % 4];
}

// A uniform number in [0, 1), 24 bits.
WEFT_HOST_DEVICE inline float uniform_from(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1.0p-24F;
}

// Dropout keeps an element when its number is not below this threshold: P(drop) = p to 2^-32.
WEFT_HOST_DEVICE inline std::uint32_t drop_threshold(float p) {
  const double t = static_cast<double>(p) * 4294967296.0;
  return t >= 4294967295.0 ? 4294967295U : static_cast<std::uint32_t>(t);
}

// What the kept elements are multiplied with, so that the mean stays.
WEFT_HOST_DEVICE inline float keep_factor(float p) { return p < 1 ? 1 / (1 - p) : 0; }

}  // namespace weft
