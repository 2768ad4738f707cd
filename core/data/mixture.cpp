// Apportionment of weights and the order of slots.
#include "core/data/mixture.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/data/permutation.hpp"

namespace weft {

namespace {

// Largest remainders: the floors of the exact shares (but at least 1), then one slot more for the
// largest remainders until all are given; slots given too many by the minimum come from the
// largest.
std::vector<std::uint64_t> apportion(const std::vector<double>& weights, std::uint64_t total) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::uint64_t> slots(weights.size());
  std::vector<double> remainder(weights.size());
  std::uint64_t given = 0;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    const double exact = weights[s] / sum * static_cast<double>(total);
    slots[s] = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(exact));
    remainder[s] = exact - static_cast<double>(slots[s]);
    given += slots[s];
  }
  for (; given < total; ++given) {
    const auto s = std::max_element(remainder.begin(), remainder.end()) - remainder.begin();
    ++slots[static_cast<std::size_t>(s)];
    remainder[static_cast<std::size_t>(s)] -= 1;
  }
  for (; given > total; --given) --*std::max_element(slots.begin(), slots.end());
  return slots;
}

}  // namespace

Mixture::Mixture(const std::vector<double>& weights, std::uint64_t seed)
    : seed_(seed), block_(weights.size() == 1 ? 1 : kBlock), first_(weights.size() + 1) {
  assert(!weights.empty() && weights.size() <= kBlock / 2);
  const auto slots = apportion(weights, block_);
  for (std::size_t s = 0; s < slots.size(); ++s) first_[s + 1] = first_[s] + slots[s];
}

Mixture::Pick Mixture::operator()(std::uint64_t i) const {
  if (block_ == 1) return {0, i};
  const std::uint64_t block = i / block_;
  const std::uint64_t slot =
      Permutation(block_, seed_, Purpose::source_order, 0, block)(i % block_);
  const auto after = std::upper_bound(first_.begin(), first_.end(), slot);
  const auto source = static_cast<std::size_t>(after - first_.begin()) - 1;
  return {source, block * slots(source) + slot - first_[source]};
}

}  // namespace weft
