// Feistel network and cycle walking.
#include "core/data/permutation.hpp"

#include <bit>
#include <cassert>

namespace weft {

namespace {
constexpr std::uint64_t kRounds = 6;  // four make it pseudo-random (Luby and Rackoff); two to spare
}

Permutation::Permutation(std::uint64_t n, std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                         std::uint64_t index)
    : n_(n),
      half_bits_(n <= 4 ? 1U : (static_cast<unsigned>(std::bit_width(n - 1)) + 1) / 2),
      key_{seed, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(purpose) + stream},
      index_high_(index >> 32) {
  assert(n > 0 && n < (std::uint64_t{1} << 62));
}

std::uint64_t Permutation::operator()(std::uint64_t i) const {
  assert(i < n_);
  const std::uint64_t low = (std::uint64_t{1} << half_bits_) - 1;
  do {  // ends: the cycle that i lies on comes back to i itself, which is below n
    std::uint64_t left = i >> half_bits_;
    std::uint64_t right = i & low;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const std::uint64_t counter = right | (round | index_high_ << 3) << 32;
      const std::uint64_t mixed = left ^ (philox(key_, counter).v[0] & low);
      left = right;
      right = mixed;
    }
    i = left << half_bits_ | right;
  } while (i >= n_);
  return i;
}

}  // namespace weft
