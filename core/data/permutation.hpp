// Pseudo-random permutations of [0, n) that are computed, not stored.
#pragma once

#include <cstdint>

#include "core/data/random.hpp"

namespace weft {

// A keyed bijection on [0, n) in constant memory and (expected) constant time: a Feistel network
// over the smallest even number of bits that holds n, walked along its cycle until the value lies
// below n. Sources: Luby and Rackoff, "How to construct pseudorandom permutations", 1988; Black and
// Rogaway, "Ciphers with arbitrary finite domains", 2002 (cycle walking).
class Permutation {
 public:
  // 0 < n < 2^62. `stream` tells permutations of one purpose apart (the number of a data source),
  // `index` orders in time (the epoch).
  Permutation(std::uint64_t n, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
              std::uint64_t index);

  std::uint64_t operator()(std::uint64_t i) const;  // i < n

 private:
  std::uint64_t n_;
  unsigned half_bits_;
  PhiloxKey key_;
  std::uint64_t index_high_;
};

}  // namespace weft
