// Several data sources by weight: which source sample i comes from, computed in constant time.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

// Samples come in blocks of kBlock. In each block source s has a fixed number of slots, its weight
// apportioned by largest remainders (at least one slot), so that after whole blocks its share is
// exact to 1 / kBlock; inside a block the slots stand in a pseudo-random order. Counting slots
// gives each sample its number within its source: every number is used exactly once.
class Mixture {
 public:
  static constexpr std::uint64_t kBlock = 1 << 16;

  // Weights are positive and finite; 0 < weights.size() <= kBlock / 2.
  Mixture(const std::vector<double>& weights, std::uint64_t seed);

  struct Pick {
    std::size_t source;
    std::uint64_t index;  // among the samples of this source
  };
  Pick operator()(std::uint64_t i) const;

  std::uint64_t slots(std::size_t source) const { return first_[source + 1] - first_[source]; }

 private:
  std::uint64_t seed_;
  std::uint64_t block_;               // 1 for a single source
  std::vector<std::uint64_t> first_;  // first slot of each source, then block_
};

}  // namespace weft
